/** Where the pointer is, in both slides: the ghost cursor and the line of coordinates. */

import { whole } from "./dom.js";

export function followPointer(sync, panes, layers, line) {
  const write = (points) => {
    for (const [frame, point] of Object.entries(points)) {
      line.querySelector(`[data-at=${frame}]`).textContent = point ? `${whole(point[0])}, ${whole(point[1])} px` : "–";
    }
  };
  const names = Object.keys(panes);
  for (const here of names) {
    const there = names.find((name) => name !== here);
    panes[here].host.addEventListener("pointermove", (event) => {
      const point = panes[here].imagePoint(event);
      const twin = sync.twin(panes[here], point);
      layers[there].setGhost(twin);
      write({ [here]: point, [there]: twin });
    });
    panes[here].host.addEventListener("pointerleave", () => {
      layers[there].setGhost(null);
      write({ [here]: null, [there]: null });
    });
  }
}
