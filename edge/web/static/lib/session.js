/** Stays signed in while a page is looked at: asking for the session renews its cookie's thirty days. */

import { getJson } from "./net.js";

const EVERY_MS = 12 * 3_600_000;

export function staySignedIn() {
  const ask = () => document.hidden || getJson("/api/session").catch(() => {}); // a refusal is told by the page's own requests
  ask();
  document.addEventListener("visibilitychange", ask);
  setInterval(ask, EVERY_MS);
}
