/** Calls to the REST API with the session's CSRF token; a refusal becomes an ApiError. */

export class ApiError extends Error {
  constructor({ code = "error", field = "", message }) {
    super(message);
    this.code = code;
    this.field = field;
  }
}

const OFFLINE = "The server does not answer. Check that it is running, then try again.";
const SIGNED_OUT = "You are signed out. Log in again in another window, then repeat this step.";

function csrfToken() {
  return document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
}

async function call(method, url, body) {
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken() };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const options = { method, headers, credentials: "same-origin", body: JSON.stringify(body) };
  const response = await fetch(url, options).catch(() => {
    throw new ApiError({ code: "offline", message: OFFLINE });
  });
  const answer = await response.json().catch(() => null);
  if (response.status === 401) throw new ApiError({ code: "signed_out", message: SIGNED_OUT });
  if (!response.ok) throw new ApiError(answer?.message ? answer : unexplained(response));
  return answer;
}

function unexplained(response) {
  return { code: `http_${response.status}`, message: `The server answered ${response.status}. Try again.` };
}

export const get = (url) => call("GET", url);
export const post = (url, body = {}) => call("POST", url, body);
export const patch = (url, body) => call("PATCH", url, body);
export const remove = (url) => call("DELETE", url);

/** All rows of a paged list. */
export async function all(url) {
  const rows = [];
  for (let next = url; next; ) {
    const page = await get(next);
    if (Array.isArray(page)) return page;
    rows.push(...page.results);
    next = page.next;
  }
  return rows;
}
