/** What just happened, with a way back: one toast at a time, and the page's one live region. */

import { h, icon } from "./dom.js";
import { t } from "./i18n.js";

const SHOWN_MS = 7000;
const QUIET_MS = 5000; // no more than one unasked announcement in this time

const region = h("div", { class: "sr-only", "aria-live": "polite" });
const place = h("div", { class: "toasts" });
document.body.append(region, place);

let spokenAt = 0;
/** @type {string[]} */
let waiting = [];
let timer = 0;

/**
 * Tells a screen reader, politely and not too often; what comes too fast is said together.
 * @param {string} text
 * @param {boolean} [atOnce] the person's own action: no waiting
 */
export function announce(text, atOnce = false) {
  waiting.push(text);
  clearTimeout(timer);
  const wait = atOnce ? 0 : Math.max(0, spokenAt + QUIET_MS - Date.now());
  timer = setTimeout(() => {
    region.textContent = waiting.slice(-5).join(". ");
    waiting = [];
    spokenAt = Date.now();
  }, wait);
}

/**
 * Shows a message for 7 s, longer while it is touched or focused. Another one replaces it.
 *
 * @param {string} text
 * @param {{undo?: () => void, act?: string, error?: boolean}} [options] undo adds the button; act: what
 *   it says
 */
export function toast(text, { undo, act = t("act.undo"), error = false } = {}) {
  const close = () => element.remove();
  const element = h(
    "div",
    {
      class: error ? "toast toast--error" : "toast",
      role: "group",
      "aria-label": t("toast.label"),
    },
    icon(error ? "alert" : "check"),
    h("p", { class: "toast__text" }, text),
    undo &&
      h(
        "button",
        {
          class: "toast__undo",
          type: "button",
          onclick: () => {
            close();
            undo();
          },
        },
        act,
      ),
    h(
      "button",
      { class: "toast__close", type: "button", "aria-label": t("toast.close"), onclick: close },
      icon("close"),
    ),
  );
  let left = 0;
  const leave = () => {
    clearTimeout(left);
    left = setTimeout(
      () => (element.matches(":hover, :focus-within") ? leave() : close()),
      SHOWN_MS,
    );
  };
  place.replaceChildren(element);
  leave();
  announce(text, true);
}
