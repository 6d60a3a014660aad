/** Before anything is run: how the two sections seem to have been made, and which accuracy that allows. */

import { patch } from "./api.js";
import { attempt, element, inPrint } from "./dom.js";

const KINDS = { same: "one section, stained twice", consecutive: "consecutive sections" };

export class Sections {
  /** declared : same, consecutive or unknown, as the pair says. onDeclared() is called once it was changed. */
  constructor(pair, declared, node, onDeclared) {
    Object.assign(this, { pair, declared, node, onDeclared });
    this.show(null);
  }

  /** alignment : the one in use, or null. */
  show(alignment) {
    const section = alignment?.section ?? null;
    this.declared = section?.declared ?? this.declared;
    this.node.replaceChildren(...this.facts(section), ...this.warning(section));
  }

  facts(section) {
    const found = section ? foundText(section) : "not known before the slides are aligned";
    const accuracy = element("p", { className: "accuracy" }, inPrint(section?.message ?? ""));
    return [
      ...(section?.message ? [accuracy] : []),
      element("p", { className: "small" }, "Found: ", element("strong", {}, found)),
      element("p", { className: "small" }, "Declared: ", KINDS[this.declared] ?? "not stated"),
    ];
  }

  warning(section) {
    if (!section?.disagreement) return [];
    const button = element("button", { type: "button", textContent: `Declare as ${KINDS[section.kind]}` });
    button.addEventListener("click", () => this.declare(section.kind));
    return [element("div", { className: "notice small", role: "alert" }, section.disagreement, button)];
  }

  async declare(kind) {
    if (await attempt(() => patch(`/api/pairs/${this.pair}/`, { sections: kind }))) this.onDeclared();
  }
}

function foundText({ kind, share }) {
  if (!(kind in KINDS)) return "not to be told";
  return share === null ? KINDS[kind] : `${KINDS[kind]} (${Math.round(100 * share)} % of the cells agree)`;
}
