/** The button that shows a page in the other language. */

import { h } from "./dom.js";
import { lang, setLang } from "./i18n.js";

const NAMES = { ko: "한국어", en: "English" }, SIGNS = { ko: "한", en: "EN" };

/**
 * @param {string} className
 * @param {{long?: boolean, then?: () => void}} [how] long: with the language's whole name; then: after the change
 * @returns {HTMLElement}
 */
export function languageButton(className, { long = false, then = () => {} } = {}) {
  const other = lang() === "ko" ? "en" : "ko";
  return h(
    "button",
    {
      class: className,
      type: "button",
      lang: other,
      "aria-label": NAMES[other],
      onclick: () => (setLang(other), then()),
    },
    (long ? NAMES : SIGNS)[other],
  );
}
