/** Small helpers for the page: data of the server, elements, one message line. */

import { ApiError } from "./api.js";

/** What a template wrote with json_script. */
export function pageData(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/** An element with properties, `dataset` and children (strings become text, never markup). */
export function element(tag, { dataset = {}, ...properties } = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  Object.assign(node.dataset, dataset);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const NOTE_MS = 8000;
let timer;

/** Shows a sentence in the page's live region: a "note" for a while, a "hint" or an "error" until the next one. */
export function say(message, kind = "note") {
  const line = document.getElementById("message");
  line.textContent = message;
  line.dataset.kind = kind;
  line.hidden = !message;
  clearTimeout(timer);
  if (kind === "note") timer = setTimeout(() => (line.hidden = true), NOTE_MS);
}

/** Runs what a person asked for; a refusal is shown instead of thrown. What was said before is over. */
export async function attempt(action) {
  say("");
  return background(action);
}

/** Runs what the page does by itself: the same, but what was said before stays. */
export async function background(action) {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    say(inPrint(error.message), "error");
    return undefined;
  }
}

/** The engine writes um, which every terminal shows; a page writes µm. */
export const inPrint = (text) => text.replace(/\bum\b/g, "µm");

export const whole = (number) => Math.round(number).toLocaleString("en");
