/** Loads what is asked for again and again while it is on screen; says when that fails. */

import { h, icon } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { ApiError, getJson } from "../lib/net.js";

/**
 * @param {HTMLElement} view loaded only while this is on screen
 * @param {{url: () => string, everyMs: number, draw: (told: any) => void, failed: string}} options
 *   draw: changes on the page only what differs, because focus and scrolling have to stay
 *   failed: the key of the words where nothing could be loaded yet
 * @returns {{load: () => void, problem: HTMLElement}} load: now, where it is on screen
 */
export function keepLoaded(view, { url, everyMs, draw, failed }) {
  const problem = h(
    "div",
    { class: "notice", hidden: true },
    icon("alert"),
    h("p", null, t(failed)),
    h("button", { class: "button", type: "button", onclick: () => load(true) }, t("action.retry")),
  );
  let loadedMs = 0;
  let loadedUrl = "";

  async function load(again = false) {
    const wanted = url();
    const fresh = wanted === loadedUrl && Date.now() - loadedMs < everyMs;
    if (document.hidden || view.offsetParent === null || (fresh && !again)) return;
    [loadedMs, loadedUrl] = [Date.now(), wanted];
    try {
      const told = await getJson(wanted);
      if (wanted !== url()) return; // another range was chosen meanwhile
      problem.hidden = true;
      draw(told);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      problem.hidden = error.code === "sign_in";
    }
  }

  return { load, problem };
}
