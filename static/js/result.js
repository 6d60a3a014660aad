/** The result of one registration: overlay, keys, review, copy as command. */

import { pageData, say } from "./dom.js";
import { Keys } from "./keys.js";
import { Overlay } from "./overlay.js";
import { addScaleBar, magnificationText } from "./scalebar.js";
import { viewControls } from "./toolbar.js";

const find = (selector) => document.querySelector(selector);
const overlay = new Overlay(find("#overlay"), pageData("overlay-data"));
const slider = find("#opacity");
const modes = [...document.querySelectorAll("[data-mode]")];
const magnification = find("[data-magnification]");

function setShare(share) {
  setMode("blend");
  overlay.setShare(share);
  slider.value = Math.round(overlay.share * 100);
  find("#opacity-text").textContent = `${slider.value} %`;
}

function setMode(mode) {
  overlay.setMode(mode);
  for (const button of modes) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
}

function blink(on) {
  overlay.blink(on);
  find("#blink").setAttribute("aria-pressed", String(on));
}

function showErrors(on) {
  overlay.showErrors(on);
  find("#errors").setAttribute("aria-pressed", String(on));
  find("#legend").hidden = !on;
}

async function copyCommand() {
  try {
    await navigator.clipboard.writeText(find("#copy").dataset.text);
    find("#copy").textContent = "✓ Copied";
  } catch {
    getSelection().selectAllChildren(find("#command"));
    say("The browser did not allow copying: the command is selected, press Ctrl+C.");
  }
}

const keys = new Keys();
keys.add("b", "Hold to see the other stain", () => blink(true), { label: "B", release: () => blink(false) });
keys.add("[", "Less IHC", () => setShare(overlay.share - 0.1));
keys.add("]", "More IHC", () => setShare(overlay.share + 0.1));
keys.add("v", "Overlay or checkerboard", () => setMode(overlay.mode === "blend" ? "checkerboard" : "blend"), { label: "V" });
if (find("#errors")) {
  const toggle = () => showErrors(find("#errors").getAttribute("aria-pressed") !== "true");
  keys.add("e", "Expected error (on or off)", toggle, { label: "E" });
  find("#errors").addEventListener("click", toggle);
}
for (const button of document.querySelectorAll("[data-key]")) {
  const { key } = button.dataset;
  keys.add(key, button.value === "accepted" ? "Accept" : "Reject", () => button.click(), { label: key.toUpperCase() });
}
viewControls(keys, () => overlay);

slider.addEventListener("input", () => setShare(slider.valueAsNumber / 100));
for (const button of modes) button.addEventListener("click", () => setMode(button.dataset.mode));
find("#blink").addEventListener("pointerdown", () => blink(true));
for (const name of ["pointerup", "pointerleave", "blur"]) find("#blink").addEventListener(name, () => blink(false));
window.addEventListener("blur", () => blink(false));
document.querySelector("#copy")?.addEventListener("click", copyCommand);

addScaleBar(overlay);
overlay.onChange(() => (magnification.textContent = magnificationText(overlay)));
overlay
  .open()
  .then(() => overlay.fit())
  .catch(() => say("The pictures of this region can't be loaded. Reload the page.", "error"));
window.slidepair = { overlay };
