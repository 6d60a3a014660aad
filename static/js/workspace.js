/** The pair workspace: two panes on the same tissue, regions, and the runs on them. */

import { Alignment } from "./alignment.js";
import { BoxLayer } from "./boxes.js";
import { BoxTool } from "./boxtool.js";
import { attempt, background, pageData, say } from "./dom.js";
import { patchText } from "./estimate.js";
import { Keys } from "./keys.js";
import { Pane } from "./pane.js";
import { Panel } from "./panel.js";
import { Pieces } from "./pieces.js";
import { followPointer } from "./pointer.js";
import { Regions } from "./regions.js";
import { Runs } from "./runs.js";
import { addScaleBar, magnificationText } from "./scalebar.js";
import { Sections } from "./sections.js";
import { Sync } from "./sync.js";
import { viewControls } from "./toolbar.js";

const find = (selector) => document.querySelector(selector);
const { pair, slides, sections } = pageData("pair-data");
const form = find("#options");

const panes = { he: new Pane(find("#pane-he"), slides.he), ihc: new Pane(find("#pane-ihc"), slides.ihc) };
const sync = new Sync(panes.he, panes.ihc);
const regions = new Regions(pair, slides, () => sync.matrix);
const layers = {};
const options = () => ({
  grid: form.elements.grid.value,
  method: form.elements.method.value,
  layout: form.elements.layout.value,
  patchSize: form.elements.patch_size.valueAsNumber || 256,
});
const preset = () => {
  const [size, unit] = find("#box-size").value.split(" ");
  return { size: Number(size), unit };
};

for (const [frame, pane] of Object.entries(panes)) {
  layers[frame] = new BoxLayer(pane, frame, regions, options);
  addScaleBar(pane);
  const line = find(`[data-magnification=${frame}]`);
  pane.onChange(() => (line.textContent = magnificationText(pane)));
}
followPointer(sync, panes, layers, find("#pointer"));

const tool = new BoxTool(panes, regions, preset);
const runs = new Runs(pair, find("#runs"), regions);
new Panel(find("#side"), regions, (region) => {
  sync.lead(panes[region.frame]);
  sync.leader.show(regions.polygon(region, region.frame));
});
const showPiece = (frame, outline) => {
  sync.lead(panes[frame]);
  panes[frame].show(outline);
};
const pieces = new Pieces(pair, find("#pieces"), showPiece, () => alignment.load());
const possible = new Sections(pair, sections, find("#possible"), () => alignment.load());
const alignment = new Alignment(pair, find("#alignment"), (current, newest) => {
  possible.show(current, newest);
  background(() => pieces.load(newest));
  if (current?.affine === sync.matrix) return;
  sync.setTransform(current?.affine ?? null);
  showLock();
  regions.changed();
});

const pressed = (selector, on) => find(selector).setAttribute("aria-pressed", String(on));
function setDrawing(on) {
  tool.setDrawing(on);
  pressed("#draw", on);
  say(on ? "Click to place the box, or drag to draw one of any size. Esc stops." : "", "hint");
}
/** Without a transform the panes can't move together, whatever was chosen. */
function showLock() {
  pressed("#lock", sync.locked && sync.matrix !== null);
  find("#lock").disabled = sync.matrix === null;
}
function toggleLock() {
  sync.setLocked(!sync.locked);
  showLock();
}
function start() {
  if (!form.checkValidity()) form.querySelector("details").open = true; // to show which field is wrong
  if (form.reportValidity()) runs.start(options());
}
function removeSelected() {
  const { selectedId } = regions;
  const results = runs.of(selectedId).length;
  const question = "Delete this region with its results and archives?";
  if (selectedId === null || (results && !window.confirm(question))) return;
  attempt(async () => {
    await regions.remove(selectedId);
    runs.forget(selectedId);
  });
}
const centreOf = (pane) => pane.view().centre;
function addAtCentre() {
  const frame = sync.leader === panes.he ? "he" : "ihc";
  attempt(() => regions.add(regions.square(frame, centreOf(panes[frame]), preset())));
}
function cancel() {
  if (tool.drawing) setDrawing(false);
  else regions.select(null);
}

tool.onPlaced = () => setDrawing(false);
const keys = new Keys();
viewControls(keys, () => sync.leader);
keys.add("r", "Place a region (on or off)", () => setDrawing(!tool.drawing), { label: "R" });
keys.add("s", "Move both slides together (on or off)", () => find("#lock").click(), { label: "S" });
keys.add("Enter", "Register the chosen region", start);
keys.add("Delete", "Delete the chosen region", removeSelected);
keys.add("Escape", "Stop placing, or choose no region", cancel, { label: "Esc" });
for (const [selector, action] of [
  ["#draw", () => setDrawing(!tool.drawing)],
  ["#lock", toggleLock],
  ["#add-centre", addAtCentre],
  ["#delete-region", removeSelected],
]) {
  find(selector).addEventListener("click", action);
}
form.addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
form.addEventListener("input", () => regions.changed());
regions.addEventListener("change", () => (find("#patch-count").textContent = patchText(regions, options())));

async function open() {
  const failed = (error) => say(`The slide ${error.message} can't be shown. Look at the library for the reason.`, "error");
  const opened = Promise.all(Object.values(panes).map((pane) => pane.open())).catch(failed);
  await background(() => regions.load());
  for (const pane of (await opened) ?? []) pane.fit();
  await background(() => Promise.all([alignment.load(), runs.load()]));
}

window.slidepair = { panes, sync, regions };
open();
