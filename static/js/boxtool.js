/** The pointer on one pane: places boxes (click or drag), selects and moves them; anything else pans. */

import { apply, edgeDistance, inPolygon } from "./affine.js";
import { attempt } from "./dom.js";

const CLICK_PX = 5;
const EDGE_PX = 8;

export class BoxTool {
  /** preset() : {size, unit} of a clicked box. */
  constructor(panes, regions, preset) {
    Object.assign(this, { panes, regions, preset });
    this.drawing = false;
    this.action = null;
    for (const [frame, pane] of Object.entries(panes)) this.listen(frame, pane);
  }

  listen(frame, pane) {
    const { viewer } = pane;
    viewer.addHandler("canvas-press", (event) => this.press(frame, pane, event.originalEvent));
    viewer.addHandler("canvas-drag", (event) => {
      if (!this.action?.holds) return;
      event.preventDefaultAction = true;
      this.drag(event.originalEvent);
    });
    viewer.addHandler("canvas-drag-end", (event) => {
      event.preventDefaultAction = this.held;
    });
    viewer.addHandler("canvas-release", (event) => this.release(event.originalEvent));
    pane.host.addEventListener("pointermove", (event) => this.hover(frame, pane, event));
    pane.host.addEventListener("pointerleave", () => this.drawing && !this.action && this.regions.setDraft(null));
  }

  setDrawing(drawing) {
    this.drawing = drawing;
    this.action = null;
    this.regions.setDraft(null);
    for (const { host } of Object.values(this.panes)) host.classList.toggle("drawing", drawing);
  }

  press(frame, pane, event) {
    const point = pane.imagePoint(event);
    const region = this.drawing ? null : this.grabbed(frame, pane, point);
    const start = { frame, pane, point, screen: [event.clientX, event.clientY], moved: false };
    this.action = { ...start, region, holds: this.drawing || region !== null };
    this.held = this.action.holds;
  }

  drag(event) {
    const { action } = this;
    const [x, y] = action.screen;
    action.moved ||= Math.hypot(event.clientX - x, event.clientY - y) > CLICK_PX;
    if (action.moved) this.regions.setDraft(action.region ? this.movedBox(event) : this.drawnBox(event));
  }

  release(event) {
    const { action } = this;
    this.action = null;
    if (!action) return;
    const { draft } = this.regions;
    const [x, y] = action.screen;
    const clicked = Math.hypot(event.clientX - x, event.clientY - y) <= CLICK_PX;
    if (action.region && action.moved) attempt(() => this.regions.move(action.region.id, position(draft)));
    else if (this.drawing) this.place(action, draft);
    else if (clicked) this.regions.select(this.under(action.frame, action.pane, action.point)?.id ?? null);
  }

  place({ frame, point, moved }, draft) {
    const box = moved ? draft : this.regions.square(frame, point, this.preset());
    this.setDrawing(false);
    this.onPlaced?.();
    attempt(() => this.regions.add(box));
  }

  hover(frame, pane, event) {
    if (this.action) return;
    const point = pane.imagePoint(event);
    if (this.drawing) this.regions.setDraft(this.regions.square(frame, point, this.preset()));
    else pane.host.classList.toggle("over-box", this.grabbed(frame, pane, point) !== null);
  }

  /** Boxes under a point of the pane, the smallest first. */
  under(frame, pane, point) {
    const matrix = pane.screenFromImage;
    const screen = apply(matrix, point);
    return this.regions.list
      .map((region) => ({ region, polygon: this.regions.polygon(region, frame)?.map((p) => apply(matrix, p)) }))
      .filter(({ polygon }) => polygon && inPolygon(polygon, screen, EDGE_PX))
      .map(({ region }) => region)
      .sort((a, b) => a.width * a.height - b.width * b.height)[0];
  }

  /** The selected box, if a drag from here moves it: by its edge, or anywhere in it while all of it is in view. */
  grabbed(frame, pane, point) {
    const { selected } = this.regions;
    const polygon = selected && this.regions.polygon(selected, frame);
    if (!polygon) return null;
    const matrix = pane.screenFromImage;
    const [screen, outline] = [apply(matrix, point), polygon.map((p) => apply(matrix, p))];
    const [width, height] = pane.size;
    const allInView = outline.every(([x, y]) => x >= 0 && y >= 0 && x <= width && y <= height);
    if (!inPolygon(outline, screen, EDGE_PX)) return null;
    return allInView || edgeDistance(outline, screen) <= EDGE_PX ? selected : null;
  }

  movedBox(event) {
    const { frame, pane, point, region } = this.action;
    const from = this.regions.map(frame, region.frame, point);
    const to = this.regions.map(frame, region.frame, pane.imagePoint(event));
    const box = { ...region, x: region.x + to[0] - from[0], y: region.y + to[1] - from[1] };
    return { ...region, ...this.regions.inside(box) };
  }

  drawnBox(event) {
    const { frame, pane, point } = this.action;
    const slide = this.regions.slides[frame];
    const limit = ([x, y]) => [Math.max(0, Math.min(x, slide.width)), Math.max(0, Math.min(y, slide.height))];
    const [[x1, y1], [x2, y2]] = [limit(point), limit(pane.imagePoint(event))];
    const box = { x: Math.min(x1, x2), y: Math.min(y1, y2), width: Math.abs(x2 - x1), height: Math.abs(y2 - y1) };
    return this.regions.inside({ frame, ...box });
  }
}

const position = ({ x, y, width, height }) => ({ x, y, width, height });
