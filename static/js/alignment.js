/** The pair's slide-level alignment: follows the running one, tells its transform, asks for another. */

import { all, post } from "./api.js";
import { attempt, element, inPrint } from "./dom.js";
import { errorText, isLive, newCard, verdictText } from "./job.js";

export class Alignment {
  /** onCurrent(version in use or null, newest or null) is called whenever they were read. */
  constructor(pair, node, onCurrent) {
    this.url = `/api/pairs/${pair}/alignments/`;
    this.node = node;
    this.onCurrent = onCurrent;
    this.current = null;
  }

  async load() {
    const versions = (await all(this.url)).sort((a, b) => b.version - a.version);
    const newest = versions[0] ?? null;
    const usable = versions.find(({ status, affine }) => status === "succeeded" && affine) ?? null;
    this.current = usable?.id === this.current?.id ? this.kept(usable) : usable;
    this.onCurrent(this.current, newest);
    this.show(newest);
  }

  /** The same version read anew: its transform stays the same object, so that nothing is drawn again for it. */
  kept(usable) {
    return usable && { ...usable, affine: this.current.affine };
  }

  async again() {
    if (await attempt(() => post(this.url))) await this.load();
  }

  show(newest) {
    const settled = newest && newest.id === this.current?.id;
    this.node.dataset.state = settled ? "aligned" : "open";
    this.node.replaceChildren(...(settled ? this.summary(newest) : [this.pending(newest)]));
  }

  summary(newest) {
    const { verdict, reasons } = newest;
    const title = inPrint(reasons.map(({ message }) => message).join(" "));
    const words = element("strong", { dataset: { verdict }, title }, verdictText(verdict) || "Aligned");
    const numbers = element("span", { className: "muted numbers-line" }, errorText(newest));
    return ["Alignment ", words, " ", numbers];
  }

  pending(newest) {
    if (!newest) return this.missing("These slides are not aligned yet: the panes move on their own.", "Align");
    if (newest.status === "failed" || newest.status === "cancelled" || newest.status === "refused") {
      return this.missing(this.explain(newest), "Align again");
    }
    const ended = (job) => !isLive(job) && this.load();
    const card = newCard(`/api/alignments/${newest.id}/`, "Aligning the slides", null, ended);
    card.show(newest);
    return card.node;
  }

  /** In a line; the side panel says why. */
  explain({ status }) {
    const what = { failed: "Alignment failed.", cancelled: "Alignment was cancelled.", refused: "✕ Alignment refused." };
    return `${what[status]} ${this.current ? `Version ${this.current.version} stays in use.` : "The panes move on their own."}`;
  }

  missing(text, action) {
    const button = element("button", { type: "button", textContent: action });
    button.addEventListener("click", () => this.again());
    return element("div", { className: "banner", role: "status" }, element("p", {}, text), button);
  }
}
