/** One slide in an OpenSeadragon viewer. Image coordinates are level-0 px, corner-based. */

import { apply, invert, linear, multiply, similarity } from "./affine.js";

const { OpenSeadragon } = window;

const OPTIONS = {
  drawer: "canvas", // the WebGL drawer left wrong wedges in turned views (6.1.1, software rendering)
  showNavigationControl: false,
  keyboardNavEnabled: false,
  showNavigator: true,
  navigatorPosition: "BOTTOM_RIGHT",
  navigatorSizeRatio: 0.18,
  navigatorBackground: "#808080",
  navigatorBorderColor: "#333333",
  navigatorDisplayRegionColor: "#00b8d4",
  navigatorAutoFade: false,
  navigatorOpacity: 1,
  gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: false },
  animationTime: 0.4,
  springStiffness: 9,
  visibilityRatio: 0.1,
  minZoomImageRatio: 0.3,
  maxZoomPixelRatio: 8,
  imageLoaderLimit: 8,
};

export class Pane {
  /** slide : {name, width, height, um_per_px: [x, y] | null, dzi}. options : of the OpenSeadragon viewer. */
  constructor(host, slide, options = {}) {
    this.host = host;
    this.slide = slide;
    const prefixUrl = document.body.dataset.openseadragonImages;
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const motion = still ? { animationTime: 0 } : {};
    this.viewer = OpenSeadragon({ element: host, prefixUrl, ...OPTIONS, ...motion, ...options });
    this.viewer.canvas.setAttribute("aria-label", `${slide.name}, slide image`);
    this.viewer.canvas.setAttribute("role", "application");
    window.addEventListener("pagehide", ({ persisted }) => persisted || this.viewer.destroy());
  }

  /** Resolves once the slide can be shown. */
  open() {
    return new Promise((resolve, reject) => {
      this.viewer.addOnceHandler("open", () => resolve(this));
      this.viewer.addOnceHandler("open-failed", () => reject(new Error(this.slide.name)));
      this.viewer.open(this.slide.dzi);
    });
  }

  get size() {
    return [this.host.clientWidth, this.host.clientHeight];
  }

  /** What is shown now: centre in image px, screen px per image px, degrees clockwise, then a left-right flip. */
  view() {
    const { viewport } = this.viewer;
    const centre = viewport.getCenter(true);
    return {
      centre: [centre.x * this.slide.width, centre.y * this.slide.width],
      scale: (viewport.getZoom(true) * this.size[0]) / this.slide.width,
      rotation: viewport.getRotation(true),
      flip: viewport.getFlip(),
    };
  }

  setView({ centre, scale, rotation, flip }, immediately = true) {
    const { viewport } = this.viewer;
    const { width } = this.slide;
    viewport.setFlip(flip);
    viewport.setRotation(rotation, immediately);
    viewport.zoomTo((scale * width) / this.size[0], null, immediately);
    viewport.panTo(new OpenSeadragon.Point(centre[0] / width, centre[1] / width), immediately);
  }

  change(part, immediately = false) {
    this.setView({ ...this.view(), ...part }, immediately);
  }

  /** Screen px (from the pane's top left) <- image px. */
  get screenFromImage() {
    const view = this.view();
    const matrix = linear(view);
    const [x, y] = apply(matrix, view.centre);
    const [width, height] = this.size;
    matrix[0][2] = width / 2 - x;
    matrix[1][2] = height / 2 - y;
    return matrix;
  }

  /** Image px under a mouse or pointer event. */
  imagePoint(event) {
    const frame = this.host.getBoundingClientRect();
    return apply(invert(this.screenFromImage), [event.clientX - frame.left, event.clientY - frame.top]);
  }

  /** um per image px, one number; null where it is not known. */
  get umPerPx() {
    const um = this.slide.um_per_px;
    return um && Math.sqrt(um[0] * um[1]);
  }

  /** Shows the slide at NUMBER-fold magnification: 10 / NUMBER um per screen px. */
  magnify(number) {
    if (this.umPerPx) this.change({ scale: (this.umPerPx * number) / 10 });
  }

  fit() {
    const { scale, rotation } = this.view();
    const turned = Math.abs(Math.sin((rotation * Math.PI) / 180));
    const { width, height } = this.slide;
    const across = width * (1 - turned) + height * turned;
    const down = height * (1 - turned) + width * turned;
    const [columns, rows] = this.size;
    const fitted = 0.96 * Math.min(columns / across, rows / down) || scale;
    this.change({ centre: [width / 2, height / 2], scale: fitted });
  }

  /** Brings a polygon of image px into view. */
  show(polygon) {
    const xs = polygon.map(([x]) => x);
    const ys = polygon.map(([, y]) => y);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const reach = Math.hypot(right - left, bottom - top);
    this.change({ centre: [(left + right) / 2, (top + bottom) / 2], scale: (0.8 * Math.min(...this.size)) / reach });
  }

  panBy(x, y) {
    const matrix = invert(this.screenFromImage);
    const [columns, rows] = this.size;
    this.change({ centre: apply(matrix, [columns * (0.5 + x), rows * (0.5 + y)]) });
  }

  onChange(listener) {
    this.viewer.addHandler("update-viewport", listener);
  }
}

/** The view of another slide that shows the same tissue: `matrix` maps px of this one to px of that one. */
export function mappedView(view, matrix) {
  const turned = similarity(multiply(linear(view), invert(matrix)));
  return { centre: apply(matrix, view.centre), ...turned };
}
