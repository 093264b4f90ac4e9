/**
 * The daemon's news as they come. A phone that slept, a daemon that was restarted, a socket that
 * died in silence: the stream is opened again, and its first event tells everything. A page that
 * nobody looks at hangs up, but asks now and then: it can ring, and its title be read.
 */

import { getJson } from "./net.js";
import { now, setServerTime } from "./time.js";

const SILENCE_MS = 30_000; // the daemon beats each 10 s
const HIDDEN_MS = 30_000;
const WATCH_MS = 2_000;
const LOOK_MS = 30_000; // behind another tab: often enough for a bell and the title
const BACKOFF_MS = [500, 1000, 2000, 4000, 8000, 15000];

/**
 * @param {{hello: (snapshot: any) => void, patch: (patch: any) => void,
 *   link: (state: {live: boolean, heard: number, silent: boolean}) => void}} on
 *   link.heard: when something came last, in ms by the daemon's clock; 0 before the first time
 */
export function openLive(on) {
  /** @type {EventSource | null} */
  let source = null;
  let heardMs = 0; // by this device's clock: silence is measured by it
  let heard = 0;
  let openedMs = 0;
  let failures = 0;
  let retry = 0;
  let hiding = 0;

  const tell = (live) =>
    on.link({ live, heard, silent: heardMs > 0 && Date.now() - heardMs > SILENCE_MS });

  function close() {
    clearTimeout(retry);
    source?.close();
    source = null;
  }

  function open() {
    close();
    openedMs = Date.now();
    source = new EventSource("/api/events");
    source.addEventListener("hello", (event) => take(event, (told) => on.hello(told.snapshot)));
    source.addEventListener("patch", (event) => take(event, on.patch));
    source.addEventListener("beat", (event) => take(event, () => {}));
    source.addEventListener("error", fail);
  }

  function take(event, deliver) {
    const told = JSON.parse(event.data);
    setServerTime(told.server_time);
    heardMs = Date.now();
    heard = now();
    failures = 0;
    deliver(told);
    tell(true);
  }

  function fail() {
    close();
    tell(false);
    const wait = BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)];
    failures += 1;
    retry = setTimeout(reopen, wait * (0.75 + 0.5 * Math.random()));
  }

  /** An EventSource does not say why it failed: the session does, and it may be over. */
  async function reopen() {
    try {
      const session = await getJson("/api/session");
      if (session.pin && !session.signed_in) {
        dispatchEvent(new Event("stock-sign-in")); // "stock-signed-in" opens again
        return;
      }
    } catch {
      fail(); // the daemon is away: the same wait again
      return;
    }
    open();
  }

  function wake() {
    clearTimeout(hiding);
    if (document.hidden) return;
    tell(false);
    failures = 0;
    open();
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(close, HIDDEN_MS);
    else wake();
  });
  setInterval(async () => {
    if (!document.hidden || source) return;
    const told = await getJson("/api/snapshot").catch(() => null); // asked again the next time
    if (!told || !document.hidden) return;
    setServerTime(told.server_time);
    on.hello(told);
  }, LOOK_MS);
  addEventListener("pageshow", (event) => event.persisted && wake());
  addEventListener("online", wake);
  addEventListener("stock-signed-in", wake);
  setInterval(() => {
    if (document.hidden || !source) return void (document.hidden || tell(false));
    const quiet = Date.now() - Math.max(heardMs, openedMs);
    if (quiet > SILENCE_MS) {
      tell(false);
      open();
    }
  }, WATCH_MS);
  open();
}
