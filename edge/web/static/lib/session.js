/** Signed in as long as a page is used: asking for the session gives its cookie thirty days anew. */

import { getJson } from "./net.js";

const EVERY_MS = 12 * 3_600_000;

export function staySignedIn() {
  const ask = () => getJson("/api/session").catch(() => {}); // where it is over, the page's own requests say so
  ask();
  setInterval(ask, EVERY_MS);
}
