/** Pieces of tissue (sections, control tissue, fragments): which of them the alignment looks at. */

import { get, post } from "./api.js";
import { attempt, element } from "./dom.js";

const STAINS = { he: "H&E", ihc: "IHC" };
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export class Pieces {
  /** onShow(frame, outline) brings a piece into view; onAligned() is called once another alignment was asked for. */
  constructor(pair, node, onShow, onAligned) {
    Object.assign(this, { pair, node, onShow, onAligned });
    this.list = node.querySelector("[data-pieces]");
    node.querySelector("button").addEventListener("click", () => this.align());
  }

  /** version : the newest alignment; its pieces are asked for once it has ended. */
  async load(version) {
    if (!version?.finished_at || version.id === this.version?.id) return;
    const found = await get(`/api/pairs/${this.pair}/pieces/`);
    Object.assign(this, { version, found });
    const several = Object.keys(STAINS).some((frame) => this.found[frame].length > 1);
    this.node.hidden = !several;
    this.list.replaceChildren(...Object.keys(STAINS).map((frame) => this.group(frame)));
  }

  group(frame) {
    const pieces = this.found[frame];
    const whole = pieces.reduce((sum, { area }) => sum + area, 0);
    const rows = pieces.map((piece) => this.row(frame, piece, Math.round((100 * piece.area) / whole)));
    const legend = element("legend", { className: `stain ${frame}` }, STAINS[frame]);
    return element("fieldset", { className: "pieces" }, legend, ...rows);
  }

  row(frame, { number, outline }, percent) {
    const kept = !this.left(frame).some((polygon) => same(polygon, outline));
    const box = element("input", { type: "checkbox", checked: kept, dataset: { frame, number } });
    const show = element("button", { type: "button", className: "quiet", textContent: "Show" });
    show.setAttribute("aria-label", `Show piece ${number} of the ${STAINS[frame]}`);
    show.addEventListener("click", () => this.onShow(frame, outline));
    const label = element("label", {}, box, `Piece ${number}, ${percent} % of the tissue`);
    return element("div", { className: "piece" }, label, show);
  }

  /** Polygons that the version leaves out. */
  left(frame) {
    return this.version[`exclude_${frame}`] ?? [];
  }

  /** Pieces that are not chosen, and what else was left out before. */
  excluded(frame) {
    const outlines = this.found[frame].map(({ outline }) => outline);
    const others = this.left(frame).filter((polygon) => !outlines.some((outline) => same(outline, polygon)));
    const boxes = [...this.list.querySelectorAll(`[data-frame=${frame}]`)];
    return [...others, ...outlines.filter((_, index) => !boxes[index].checked)];
  }

  async align() {
    const body = { exclude_he: this.excluded("he"), exclude_ihc: this.excluded("ihc"), reason: "other pieces chosen" };
    if (await attempt(() => post(`/api/pairs/${this.pair}/alignments/`, body))) this.onAligned();
  }
}
