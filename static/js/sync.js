/** Keeps two panes on the same tissue: what moves in one is driven in the other through the transform. */

import { apply, invert } from "./affine.js";
import { mappedView } from "./pane.js";

export class Sync {
  /** left shows the fixed slide, right the moving one. */
  constructor(left, right) {
    this.left = left;
    this.right = right;
    this.leader = left;
    this.locked = true;
    this.matrix = null;
    for (const pane of [left, right]) {
      for (const name of ["pointerdown", "wheel"]) {
        pane.host.addEventListener(name, () => this.lead(pane), { capture: true, passive: true });
      }
      for (const name of ["viewport-change", "rotate", "flip", "animation-finish"]) {
        pane.viewer.addHandler(name, () => this.follow(pane));
      }
    }
  }

  /** From now on the other pane follows this one. */
  lead(pane) {
    this.leader = pane;
  }

  other(pane) {
    return pane === this.left ? this.right : this.left;
  }

  /** matrix : moving_from_fixed, 3 x 3, level-0 px; null while there is none. */
  setTransform(matrix) {
    this.matrix = matrix;
    this.follow(this.leader);
  }

  setLocked(locked) {
    this.locked = locked;
    this.follow(this.leader);
  }

  /** Maps px of the pane's slide to px of the other one; null while there is no transform. */
  mapFrom(pane) {
    if (!this.matrix) return null;
    return pane === this.left ? this.matrix : invert(this.matrix);
  }

  /** The same place on the other slide. */
  twin(pane, point) {
    return this.matrix && apply(this.mapFrom(pane), point);
  }

  follow(pane) {
    if (pane !== this.leader || !this.locked || !this.matrix) return;
    this.other(pane).setView(mappedView(pane.view(), this.mapFrom(pane)));
  }
}
