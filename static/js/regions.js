/** The regions of a pair: read, made, moved and deleted through the API; listeners hear of each change. */

import { all, patch, post, remove } from "./api.js";
import { apply, corners, invert } from "./affine.js";

const URL = "/api/regions/";

export class Regions extends EventTarget {
  /** slides : {he, ihc} with width, height, um_per_px. matrix() : ihc_from_he, or null. */
  constructor(pair, slides, matrix) {
    super();
    Object.assign(this, { pair, slides, matrix });
    this.list = [];
    this.selectedId = null;
    this.draft = null;
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  async load() {
    this.list = (await all(`${URL}?pair=${this.pair}`)).sort((a, b) => a.id - b.id);
    this.changed();
  }

  get selected() {
    return this.list.find(({ id }) => id === this.selectedId) ?? null;
  }

  select(id) {
    this.selectedId = id;
    this.changed();
  }

  /** A box being placed or dragged, not stored yet; {frame, x, y, width, height} or null. */
  setDraft(draft) {
    this.draft = draft;
    this.changed();
  }

  async add(box) {
    const region = await post(URL, { pair: this.pair, ...box }).finally(() => this.setDraft(null));
    this.list.push(region);
    this.select(region.id);
  }

  /** A region with results stays where it is: a new one is made in the new place. */
  async move(id, box) {
    try {
      this.replace(await patch(`${URL}${id}/`, box));
    } catch (error) {
      if (error.code !== "region_in_use") {
        this.setDraft(null);
        throw error;
      }
      const { frame, name } = this.list.find((old) => old.id === id);
      await this.add({ frame, name, ...box });
    }
  }

  async rename(id, name) {
    this.replace(await patch(`${URL}${id}/`, { name }));
  }

  replace(region) {
    this.list = this.list.map((old) => (old.id === region.id ? region : old));
    this.setDraft(null);
  }

  async remove(id) {
    await remove(`${URL}${id}/`);
    this.list = this.list.filter((region) => region.id !== id);
    this.select(null);
  }

  /** What is on the screen: stored regions, the dragged one in its new place. */
  get shown() {
    const { draft } = this;
    const rest = this.list.filter(({ id }) => id !== draft?.id);
    return draft ? [...rest, draft] : rest;
  }

  /** Maps px of frame `from` to px of frame `to` ("he" or "ihc"); null while the pair is not aligned. */
  map(from, to, point) {
    if (from === to) return point;
    const matrix = this.matrix();
    if (!matrix) return null;
    return apply(from === "he" ? matrix : invert(matrix), point);
  }

  /** The four corners of a region in a frame, or null while they are not known there. */
  polygon(region, frame) {
    const points = corners(region).map((point) => this.map(region.frame, frame, point));
    return points.includes(null) ? null : points;
  }

  /** A box of whole px of the same size, moved into the slide. */
  inside({ frame, x, y, width, height }) {
    const slide = this.slides[frame];
    const clamp = (value, size, limit) => Math.max(0, Math.min(Math.round(value), limit - size));
    const [w, h] = [Math.round(width), Math.round(height)];
    return { frame, x: clamp(x, w, slide.width), y: clamp(y, h, slide.height), width: w, height: h };
  }

  /** A square of `size` ("px" or "um") centred at a point of a frame. */
  square(frame, [x, y], { size, unit }) {
    const um = this.slides[frame].um_per_px;
    const [width, height] = unit === "um" && um ? um.map((each) => size / each) : [size, size];
    return this.inside({ frame, x: x - width / 2, y: y - height / 2, width, height });
  }

  /** The box the patches are cut from: the region, or its place on the other slide, upright and of the same size in um,
   * clipped at the slide's edge; null while it is not known. */
  gridBox(region, grid) {
    if (region.frame === grid) return region;
    const centre = this.map(region.frame, grid, [region.x + region.width / 2, region.y + region.height / 2]);
    if (!centre) return null;
    const ratio = this.#ratio(region.frame, grid);
    const [width, height] = [Math.round(region.width * ratio[0]), Math.round(region.height * ratio[1])];
    const [x, y] = [Math.round(centre[0] - width / 2), Math.round(centre[1] - height / 2)];
    return this.#clipped({ frame: grid, x, y, width, height });
  }

  #clipped({ frame, x, y, width, height }) {
    const slide = this.slides[frame];
    const [left, top] = [Math.max(0, x), Math.max(0, y)];
    const right = Math.min(slide.width, x + width);
    const bottom = Math.min(slide.height, y + height);
    return right > left && bottom > top ? { frame, x: left, y: top, width: right - left, height: bottom - top } : null;
  }

  #ratio(from, to) {
    const [a, b] = [this.slides[from].um_per_px, this.slides[to].um_per_px];
    return a && b ? [a[0] / b[0], a[1] / b[1]] : [1, 1];
  }
}
