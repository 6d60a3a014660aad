/** Registrations of the pair: asks for one, and shows each as a live card under its region. */

import { all, post } from "./api.js";
import { attempt, say } from "./dom.js";
import { isLive, newCard, verdictText } from "./job.js";

const URL = "/api/registrations/";

export class Runs {
  constructor(pair, node, regions) {
    Object.assign(this, { pair, node, regions });
    this.none = document.getElementById("no-runs");
    this.cards = new Map();
  }

  async load() {
    const runs = await all(`${URL}?pair=${this.pair}`);
    for (const run of runs.sort((a, b) => a.id - b.id)) this.put(run);
  }

  /** options : {method, grid, patchSize, layout}. */
  async start({ method, grid, patchSize, layout }) {
    const region = this.regions.selectedId;
    if (!region) {
      say("Place or choose a region first: press R, then click on the tissue.", "error");
      return;
    }
    const body = { region, method, grid, export: { layout, patch_size: patchSize } };
    const accepted = await attempt(() => post(URL, body));
    if (!accepted) return;
    const card = this.put(accepted);
    card.node.scrollIntoView({ block: "nearest" });
  }

  put(run) {
    if (!this.cards.has(run.id)) {
      const href = `/registrations/${run.id}/`;
      const changed = (job) => this.announce(card, job);
      const card = newCard(`${URL}${run.id}/`, this.title(run), href, changed, (job) => this.put(job));
      card.region = run.region.id;
      this.cards.set(run.id, card);
      this.node.prepend(card.node);
      this.none.hidden = true;
    }
    const card = this.cards.get(run.id);
    card.show(run);
    return card;
  }

  /** Cards of a region's registrations. */
  of(region) {
    return [...this.cards.values()].filter((card) => card.region === region);
  }

  /** The region is gone, and its registrations with it. */
  forget(region) {
    for (const card of this.of(region)) card.node.remove();
    this.cards = new Map([...this.cards].filter(([, card]) => card.region !== region));
    this.none.hidden = this.cards.size > 0;
  }

  title({ region, method }) {
    return `${region.name || `Region ${region.id}`} · ${method}`;
  }

  announce(card, job) {
    const was = card.live;
    card.live = isLive(job);
    if (was && !card.live) say(`Registration ${job.id}: ${verdictText(job.verdict) || job.status}.`);
  }
}
