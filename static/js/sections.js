/** Before anything is run: how the two sections seem to have been made, and which accuracy that allows. */

import { patch } from "./api.js";
import { attempt, element, inPrint } from "./dom.js";
import { errorText, isLive } from "./job.js";

const KINDS = { same: "one section, stained twice", consecutive: "consecutive sections" };

export class Sections {
  /** declared : same, consecutive or unknown, as the pair says. onDeclared() is called once it was changed. */
  constructor(pair, declared, node, onDeclared) {
    Object.assign(this, { pair, declared, node, onDeclared });
    this.show(null, null);
  }

  /** alignment : the one in use, newest : the last one asked for; or null. */
  show(alignment, newest) {
    const section = alignment?.section ?? null;
    this.declared = section?.declared ?? this.declared;
    const found = section ? foundText(section) : unknown(alignment, newest);
    document.querySelector("#landmarks-note").hidden = !reasonsOf(settled(alignment, newest)).some(advisesLandmarks);
    this.node.replaceChildren(...this.facts(section, found), ...this.warning(section), ...doubts(alignment, newest));
  }

  facts(section, found) {
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
    return [element("div", { className: "notice small" }, section.disagreement, button)];
  }

  async declare(kind) {
    if (await attempt(() => patch(`/api/pairs/${this.pair}/`, { sections: kind }))) this.onDeclared();
  }
}

/** What the bar has no room for: what to know and do before the slides are used, and in narrow windows the error. */
function doubts(alignment, newest) {
  const error = alignment && (errorText(alignment) || "not measured");
  const line = error && element("p", { className: "small narrow-only" }, `Error of the alignment: ${error}`);
  const reasons = reasonsOf(settled(alignment, newest));
  return [...(line ? [line] : []), ...reasons.map((text) => element("p", { className: "notice small" }, text))];
}

const advisesLandmarks = (reason) => /\bset\b.*\blandmarks\b/.test(reason);

/** The one whose reasons are told. */
const settled = (alignment, newest) => (newest && !isLive(newest) ? newest : alignment);

/** Sentences: what went wrong, or what speaks against it. */
function reasonsOf(alignment) {
  const reasons = (alignment?.reasons ?? []).map(({ message }) => message);
  return (alignment?.error ? [alignment.error] : reasons).map(inPrint);
}

function unknown(alignment, newest) {
  if (alignment) return "not looked at by this alignment";
  if (newest?.status === "refused") return "not known, since the alignment was refused";
  return "not known before the slides are aligned";
}

function foundText({ kind, share }) {
  if (!(kind in KINDS)) return "not to be told";
  return share === null ? KINDS[kind] : `${KINDS[kind]} (${Math.round(100 * share)} % of the cells agree)`;
}
