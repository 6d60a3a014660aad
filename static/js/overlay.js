/** Two pictures of one region, the IHC over the H&E: opacity, checkerboard, blink, the map of expected errors. */

import { Pane } from "./pane.js";

const SQUARES = 8;
const ERRORS_OPACITY = 0.6;

/** A pane with both pictures; `drawer: canvas` because only that one clips to polygons. */
export class Overlay extends Pane {
  constructor(host, data) {
    super(host, data, { drawer: "canvas", showNavigator: false });
    this.share = 0.5;
    this.mode = "blend";
    this.blinking = false;
  }

  async open() {
    const add = (url) =>
      new Promise((success, error) => {
        const tileSource = { type: "image", url, buildPyramid: true };
        this.viewer.addTiledImage({ tileSource, width: 1, success, error: () => error(new Error(url)) });
      });
    await add(this.slide.he);
    this.ihc = (await add(this.slide.ihc)).item;
    if (this.slide.errors) {
      this.errors = (await add(this.slide.errors)).item;
      this.errors.setOpacity(0);
    }
    this.update();
  }

  /** share : 0 (only H&E) to 1 (only IHC). */
  setShare(share) {
    this.share = Math.max(0, Math.min(1, share));
    this.update();
  }

  setMode(mode) {
    this.mode = mode;
    this.update();
  }

  /** The map of expected errors over both stains, or away. */
  showErrors(shown) {
    this.errors?.setOpacity(shown ? ERRORS_OPACITY : 0);
  }

  /** While held: the stain that is not (mostly) seen. */
  blink(blinking) {
    this.blinking = blinking;
    this.update();
  }

  get opacity() {
    if (this.blinking) return this.share < 0.5 ? 1 : 0;
    return this.mode === "checkerboard" ? 1 : this.share;
  }

  update() {
    if (!this.ihc) return;
    this.ihc.setOpacity(this.opacity);
    if (this.mode === "checkerboard" && !this.blinking) this.ihc.setCroppingPolygons(this.squares());
    else this.ihc.resetCroppingPolygons();
    this.viewer.forceRedraw();
  }

  /** Every second square, in px of the picture. */
  squares() {
    const { x: width, y: height } = this.ihc.getContentSize();
    const side = Math.max(width, height) / SQUARES;
    const squares = [];
    for (let row = 0; row * side < height; row += 1) {
      for (let column = row % 2; column * side < width; column += 2) squares.push(square(column, row, side));
    }
    return squares;
  }
}

function square(column, row, side) {
  const [left, top] = [column * side, row * side];
  return [[left, top], [left + side, top], [left + side, top + side], [left, top + side]].map(([x, y]) => ({ x, y }));
}
