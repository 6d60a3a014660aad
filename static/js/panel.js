/** The list of regions and the number fields of the selected one: every drag has its twin here. */

import { attempt, element, whole } from "./dom.js";

const FIELDS = ["x", "y", "width", "height"];

export class Panel {
  /** onShow(region) brings a region into view. */
  constructor(root, regions, onShow) {
    Object.assign(this, { root, regions, onShow });
    this.rows = root.querySelector("#region-list");
    this.form = root.querySelector("#region-form");
    this.form.addEventListener("change", ({ target }) => this.store(target));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    regions.addEventListener("change", () => this.draw());
  }

  draw() {
    const { list, draft, selected } = this.regions;
    this.root.classList.toggle("no-regions", list.length === 0);
    if (!draft) this.drawRows(list);
    this.form.hidden = !selected;
    if (selected) this.fill(draft?.id === selected.id ? draft : selected);
  }

  drawRows(list) {
    const focused = this.rows.contains(document.activeElement);
    this.rows.replaceChildren(...list.map((region) => this.row(region)));
    if (focused) this.rows.querySelector("[aria-pressed=true]")?.focus();
  }

  row(region) {
    const active = region.id === this.regions.selectedId;
    const name = element("strong", {}, region.name || `Region ${region.id}`);
    const size = element("span", { className: "muted" }, this.sizeText(region));
    const stain = element("span", { className: `stain ${region.frame}` }, region.frame === "he" ? "H&E" : "IHC");
    const button = element("button", { type: "button", ariaPressed: String(active) }, stain, name, size);
    button.toggleAttribute("data-enter-runs", active);
    button.addEventListener("click", () => {
      this.regions.select(region.id);
      this.onShow(region);
    });
    return element("li", {}, button);
  }

  sizeText({ frame, width, height }) {
    const um = this.regions.slides[frame].um_per_px;
    const px = `${whole(width)} × ${whole(height)} px`;
    if (!um) return px;
    const [across, down] = [width * um[0], height * um[1]];
    const inMm = Math.max(across, down) >= 1000;
    const [a, b] = [across, down].map((side) => (inMm ? (side / 1000).toFixed(2) : Math.round(side)));
    return `${px} · ${a} × ${b} ${inMm ? "mm" : "µm"}`;
  }

  fill(region) {
    for (const name of ["name", ...FIELDS]) {
      const field = this.form.elements[name];
      if (field !== document.activeElement) field.value = region[name];
    }
    this.form.querySelector("[data-frame]").textContent = region.frame === "he" ? "H&E" : "IHC";
  }

  store({ name, value }) {
    const { selected } = this.regions;
    if (!selected || !this.form.reportValidity()) return;
    if (name === "name") {
      attempt(() => this.regions.rename(selected.id, value.trim()));
      return;
    }
    const box = Object.fromEntries(FIELDS.map((name) => [name, this.form.elements[name].valueAsNumber]));
    attempt(() => this.regions.move(selected.id, box));
  }
}
