/** Buttons and keys that move the view of a pane: magnification, fit, turn, mirror, pan. */

export const MAGNIFICATIONS = [1.25, 2.5, 5, 10, 20, 40];
const PAN = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** active() : the pane that buttons and keys act on. */
export function viewControls(keys, active) {
  const actions = {
    fit: () => active().fit(),
    turn: () => turn(active()),
    mirror: () => active().change({ flip: !active().view().flip }),
  };
  MAGNIFICATIONS.forEach((number, i) => {
    actions[`x${number}`] = () => active().magnify(number);
    keys.add(String(i + 1), i ? "" : "Magnification 1.25, 2.5, 5, 10, 20, 40×", actions[`x${number}`], { label: "1 … 6" });
  });
  keys.add("0", "Fit the slide", actions.fit);
  Object.entries(PAN).forEach(([key, [x, y]], i) => {
    keys.add(key, i ? "" : "Pan", () => active().panBy(0.15 * x, 0.15 * y), { label: "arrows" });
  });
  for (const button of document.querySelectorAll("[data-view]")) {
    button.addEventListener("click", () => actions[button.dataset.view]());
  }
}

function turn(pane) {
  const { rotation, flip } = pane.view();
  pane.change({ rotation: rotation + (flip ? -90 : 90) });
}
