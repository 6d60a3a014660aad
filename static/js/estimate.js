/** What a run will give, said before it is started. */

import { whole } from "./dom.js";

export function patchText(regions, { grid, patchSize }) {
  const { selected } = regions;
  const box = selected && regions.gridBox(selected, grid);
  if (!selected) return "Place or choose a region first.";
  if (!box) return "The patches can be counted once the slides are aligned.";
  const [columns, rows] = [Math.floor(box.width / patchSize), Math.floor(box.height / patchSize)];
  if (columns * rows === 0) return `A patch of ${whole(patchSize)} px does not fit into this region.`;
  const um = regions.slides[grid].um_per_px;
  const size = um ? ` (${Math.round(patchSize * um[0])} µm)` : "";
  return `${whole(columns * rows)} patch pairs of ${whole(patchSize)} px${size}, ${columns} × ${rows}.`;
}
