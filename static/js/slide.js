/** The page of one slide. */

import { pageData, say, whole } from "./dom.js";
import { Keys } from "./keys.js";
import { Pane } from "./pane.js";
import { addScaleBar, magnificationText } from "./scalebar.js";
import { viewControls } from "./toolbar.js";

const pane = new Pane(document.getElementById("pane"), pageData("slide-data"));
const magnification = document.querySelector("[data-magnification]");
const pointer = document.getElementById("pointer");

addScaleBar(pane);
viewControls(new Keys(), () => pane);
pane.onChange(() => (magnification.textContent = magnificationText(pane)));
pane.host.addEventListener("pointermove", (event) => {
  pointer.textContent = `${pane.imagePoint(event).map(whole).join(", ")} px`;
});
pane
  .open()
  .then(() => pane.fit())
  .catch(() => say("This slide can't be shown. The library says why.", "error"));
window.slidepair = { panes: { slide: pane } };
