/** Draws regions, the patch grid of the selected one and the ghost cursor over one pane. */

import { apply, corners } from "./affine.js";

const SVG = "http://www.w3.org/2000/svg";
const SMALLEST_CELL_PX = 6;

function svg(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

const pointsText = (points) => points.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join(" ");

export class BoxLayer {
  /** frame : "he" or "ihc", the slide of this pane. options() : {grid, patchSize}. */
  constructor(pane, frame, regions, options) {
    Object.assign(this, { pane, frame, regions, options });
    this.ghost = null;
    this.canvas = svg("svg", { class: "boxes", "aria-hidden": "true" });
    pane.viewer.canvas.append(this.canvas);
    pane.onChange(() => this.draw());
    regions.addEventListener("change", () => this.draw());
  }

  /** point : image px of this pane, or null to hide the cursor. */
  setGhost(point) {
    this.ghost = point;
    this.draw();
  }

  draw() {
    const matrix = this.pane.screenFromImage;
    const parts = this.regions.shown.flatMap((region) => this.drawRegion(region, matrix));
    if (this.ghost) parts.push(svg("path", { class: "ghost", d: cross(apply(matrix, this.ghost)) }));
    this.canvas.replaceChildren(...parts);
  }

  drawRegion(region, matrix) {
    const polygon = this.regions.polygon(region, this.frame);
    if (!polygon) return [];
    const points = polygon.map((point) => apply(matrix, point));
    const { selectedId, draft } = this.regions;
    const state = region === draft ? "draft" : region.id === selectedId ? "selected" : "idle";
    const side = region.frame === this.frame ? "own" : "twin";
    const group = svg("g", { class: `region ${state} ${side}`, "data-region": region.id ?? "draft" });
    if (state !== "idle") group.append(...this.drawGrid(region, matrix));
    group.append(
      svg("polygon", { class: "under", points: pointsText(points) }),
      svg("polygon", { class: "over", points: pointsText(points) }),
    );
    if (region.name) group.append(label(region.name, points));
    return [group];
  }

  /** The patch grid, once its cells can be told apart; dashed outline where it is not the region's own. */
  drawGrid(region, matrix) {
    const { grid, patchSize } = this.options();
    const box = this.regions.gridBox(region, grid);
    const toScreen = (point) => {
      const here = this.regions.map(grid, this.frame, point);
      return here && apply(matrix, here);
    };
    if (!box || !toScreen([0, 0])) return [];
    const parts = [];
    const outline = corners(box).map(toScreen);
    if (box !== region) parts.push(svg("polygon", { class: "grid-outline", points: pointsText(outline) }));
    const side = Math.hypot(outline[1][0] - outline[0][0], outline[1][1] - outline[0][1]);
    if ((side / box.width) * patchSize >= SMALLEST_CELL_PX) {
      parts.push(svg("path", { class: "grid", d: gridPath(box, patchSize, toScreen) }));
    }
    return parts;
  }
}

function gridPath({ x, y, width, height }, size, toScreen) {
  const [columns, rows] = [Math.floor(width / size), Math.floor(height / size)];
  const [right, bottom] = [x + columns * size, y + rows * size];
  const line = (a, b) => `M${toScreen(a).map((v) => v.toFixed(1))}L${toScreen(b).map((v) => v.toFixed(1))}`;
  const lines = [];
  for (let i = 0; i <= columns; i += 1) lines.push(line([x + i * size, y], [x + i * size, bottom]));
  for (let i = 0; i <= rows; i += 1) lines.push(line([x, y + i * size], [right, y + i * size]));
  return columns && rows ? lines.join("") : "";
}

function label(name, points) {
  const height = ([x, y]) => y + 0.1 * x; // of two corners equally high, the left one
  const [x, y] = points.reduce((top, point) => (height(point) < height(top) ? point : top));
  const text = svg("text", { x: x + 2, y: y - 6 });
  text.textContent = name;
  return text;
}

function cross([x, y]) {
  return `M${x - 14} ${y}h9m10 0h9M${x} ${y - 14}v9m0 10v9`;
}
