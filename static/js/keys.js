/** The one list of keyboard shortcuts. `?` shows it; none acts while a field has the focus. */

import { element } from "./dom.js";

const FIELDS = "input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select";

export class Keys {
  constructor() {
    this.entries = [];
    document.addEventListener("keydown", (event) => this.press(event));
    document.addEventListener("keyup", (event) => this.find(event)?.release?.(event));
    this.add("?", "Show or hide this list", () => this.toggleHelp());
    for (const button of document.querySelectorAll("[data-action=keys]")) {
      button.hidden = false;
      button.addEventListener("click", () => this.toggleHelp());
    }
  }

  /** key : as KeyboardEvent.key names it. label : what the list shows. release : called when it is let go. */
  add(key, help, press, { label = key, release } = {}) {
    this.entries.push({ key, help, press, label, release });
  }

  find(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest(FIELDS)) return undefined;
    const takesEnter = event.key === "Enter" && event.target.closest("button:not([data-enter-runs]), a, summary");
    const takesArrows = event.key.startsWith("Arrow") && event.target.closest("input");
    if (takesEnter || takesArrows) return undefined;
    return this.entries.find(({ key }) => key.toLowerCase() === event.key.toLowerCase());
  }

  press(event) {
    const entry = this.find(event);
    if (!entry || (this.dialog?.open && event.key !== "?")) return;
    event.preventDefault();
    if (!event.repeat || event.key.startsWith("Arrow") || "[]".includes(event.key)) entry.press(event);
  }

  toggleHelp() {
    this.dialog ??= this.buildHelp();
    if (this.dialog.open) this.dialog.close();
    else this.dialog.showModal();
  }

  buildHelp() {
    const rows = this.entries
      .filter(({ help }) => help)
      .flatMap(({ label, help }) => [element("dt", {}, element("kbd", {}, label)), element("dd", {}, help)]);
    const close = element("button", { type: "button", textContent: "Close" });
    const dialog = element("dialog", { className: "keys" }, element("h2", {}, "Keys"), element("dl", {}, ...rows), close);
    close.addEventListener("click", () => dialog.close());
    document.body.append(dialog);
    return dialog;
  }
}
