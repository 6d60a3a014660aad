/** A scale bar in um (px where um per px is unknown), and the magnification shown now. */

import { element } from "./dom.js";

const LONGEST_PX = 160;

/** The largest of 1, 2, 5 x 10^n that is at most `limit`. */
function niceLength(limit) {
  const power = 10 ** Math.floor(Math.log10(limit));
  return ([5, 2, 1].find((step) => step * power <= limit) ?? 1) * power;
}

function lengthText(um) {
  return um >= 1000 ? `${um / 1000} mm` : `${um} µm`;
}

export function addScaleBar(pane) {
  const text = element("span");
  const bar = element("div", { className: "scalebar", ariaHidden: "true" }, text);
  pane.host.append(bar);
  const update = () => {
    const { scale } = pane.view();
    const unit = pane.umPerPx ?? 1;
    const length = niceLength((LONGEST_PX * unit) / scale);
    bar.style.width = `${(length / unit) * scale}px`;
    bar.classList.toggle("past-native", scale > 1.001);
    const size = pane.umPerPx ? lengthText(length) : `${length} px`;
    text.textContent = scale > 1.001 ? `${size} · past full resolution` : size;
  };
  pane.onChange(update);
  return update;
}

/** "10.2x · 0.98 µm/px" of what is on the screen. */
export function magnificationText(pane) {
  const { scale } = pane.view();
  if (!pane.umPerPx) return `${(scale * 100).toPrecision(3)} % of full resolution`;
  const um = pane.umPerPx / scale;
  return `${(10 / um).toPrecision(2)}× · ${um.toPrecision(3)} µm/px`;
}
