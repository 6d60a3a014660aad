/** A card of one background job (templates/parts/job.html): polls it while it is alive, cancels, retries. */

import { get, post } from "./api.js";
import { attempt, inPrint } from "./dom.js";

const POLL_MS = 1000;
const SIGNS = { good: "✓ Good", check: "! Check", refused: "✕ Refused" };

export const isLive = ({ status }) => status === "queued" || status === "running";

/** "✓ Good": never a colour alone. */
export const verdictText = (verdict) => SIGNS[verdict] ?? "";

export class JobCard {
  /** node : the card; its data-job is the job's API address. onChange(job) after each answer.
   * onRetry(job) : gets the new job that repeats this one. */
  constructor(node, onChange = () => {}, onRetry = () => window.location.reload()) {
    Object.assign(this, { node, onChange, onRetry });
    this.url = node.dataset.job;
    for (const button of node.querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => this.ask(button));
    }
    if (isLive(node.dataset)) this.wait();
  }

  part(name) {
    return this.node.querySelector(`.job-${name}`);
  }

  show(job) {
    const live = isLive(job);
    this.node.dataset.status = job.status;
    this.node.dataset.verdict = job.verdict ?? "";
    this.part("status").textContent = verdictText(job.verdict) || job.status;
    this.part("progress").value = job.percent;
    this.part("stage").textContent = live ? stageText(job) : errorText(job);
    const reasons = (job.reasons ?? []).map(({ message }) => message);
    this.part("error").textContent = inPrint(job.error || reasons.join(" "));
    const cancel = this.node.querySelector("[data-do=cancel]");
    cancel.disabled = Boolean(job.cancel_requested);
    cancel.textContent = job.cancel_requested ? "Cancelling…" : "Cancel";
    if (live) this.wait();
    this.onChange(job);
  }

  wait() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(), POLL_MS);
  }

  async refresh() {
    if (!this.node.isConnected) return;
    try {
      this.show(await get(this.url));
    } catch (error) {
      this.part("stage").textContent = error.message;
      if (error.code !== "not_found") this.wait();
    }
  }

  async ask(button) {
    const action = button.dataset.do;
    button.disabled = true;
    const job = await attempt(() => post(`${this.url}${action}/`));
    button.disabled = false;
    if (job && action === "retry") this.onRetry(job);
    else if (job) this.show(job);
  }
}

function stageText({ status, stage, percent }) {
  return status === "queued" ? "Waiting for a worker" : `${stage || "Starting"} · ${percent} %`;
}

/** "Median 0.21 µm, 90 % below 0.5 µm", in px where um/px is unknown; nothing while nothing was measured, and of
 * what is refused: nothing vouches for its figures. */
export function errorText({ verdict, metrics }) {
  if (verdict === "refused") return "";
  for (const [unit, sign] of [["um", "µm"], ["px", "px"]]) {
    const spread = metrics?.[`error_${unit}`];
    if (spread) return `Median ${spread.median.toFixed(2)} ${sign}, 90 % below ${spread.p90.toFixed(2)} ${sign}`;
  }
  return "";
}

/** A new card from the page's job template. */
export function newCard(url, title, href, onChange, onRetry) {
  const template = document.getElementById("job-template");
  const node = template.content.firstElementChild.cloneNode(true);
  node.dataset.job = url;
  const link = node.querySelector(".job-title");
  link.textContent = title;
  if (href) link.href = href;
  return new JobCard(node, onChange, onRetry);
}
