/** Pages with cards written by the server: each live one keeps itself up to date. */

import { isLive, JobCard } from "./job.js";

for (const node of document.querySelectorAll("[data-job]")) {
  const live = isLive(node.dataset);
  const { reloadWhenDone, retryGoesTo } = node.dataset;
  const changed = (job) => {
    if (reloadWhenDone !== undefined && live && !isLive(job)) window.location.reload();
  };
  const retried = ({ id }) => {
    if (retryGoesTo) window.location.assign(`${retryGoesTo}${id}/`);
    else window.location.reload();
  };
  new JobCard(node, changed, retried);
}
