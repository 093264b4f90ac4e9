/** Signed in as long as a page is looked at: asking for the session gives its cookie thirty days anew. */

import { getJson } from "./net.js";

const EVERY_MS = 12 * 3_600_000;

export function staySignedIn() {
  const ask = () => document.hidden || getJson("/api/session").catch(() => {}); // a refusal is told by the page's own requests
  ask();
  document.addEventListener("visibilitychange", ask);
  setInterval(ask, EVERY_MS);
}
