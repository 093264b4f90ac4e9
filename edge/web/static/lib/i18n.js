/** Words in two languages: t("todo.count", {n: 3}). Keys are the same in both, a test holds that. */

import en from "./en.js";
import ko from "./ko.js";
import { getPref, setPref } from "./prefs.js";

/** @type {Record<string, Record<string, string>>} */
const WORDS = { ko, en };

let current = first();
document.documentElement.lang = current;

function first() {
  const chosen = getPref("lang");
  if (chosen === "ko" || chosen === "en") return chosen;
  return navigator.language?.toLowerCase().startsWith("ko") ? "ko" : "en";
}

/**
 * Adds a page's own words: the staff page need not carry those of the calibration.
 * @param {{ko: Record<string, string>, en: Record<string, string>}} words
 */
export function addWords(words) {
  Object.assign(WORDS.ko, words.ko);
  Object.assign(WORDS.en, words.en);
}

/** @returns {"ko" | "en"} */
export function lang() {
  return /** @type {"ko" | "en"} */ (current);
}

/** @param {"ko" | "en"} wanted remembered on this device; pages listen to "stock-language" */
export function setLang(wanted) {
  current = wanted;
  setPref("lang", wanted);
  document.documentElement.lang = wanted;
  dispatchEvent(new Event("stock-language"));
}

/**
 * The words of a key. {n} is replaced by params.n (numbers as the language writes them) and
 * {n|slot|slots} by the first word where n is 1, else by the second.
 *
 * @param {string} key
 * @param {Record<string, string | number>} [params]
 * @returns {string}
 */
export function t(key, params = {}) {
  const words = WORDS[current][key];
  if (words === undefined) throw new Error(`no words for ${key}`);
  return words.replace(/\{(\w+)(?:\|([^|}]*)\|([^|}]*))?\}/g, (_, name, one, many) => {
    if (one !== undefined) return Number(params[name]) === 1 ? one : many;
    const value = params[name];
    return typeof value === "number" ? number(value) : String(value);
  });
}

/**
 * Whether there are words for a key that came from the daemon (a reason, an error's code).
 * @param {string} key
 */
export function knows(key) {
  return key in WORDS[current];
}

/**
 * @param {number} value
 * @param {number} [digits] after the point
 */
export function number(value, digits = 0) {
  return new Intl.NumberFormat(current, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(value);
}

/**
 * A share as per cent, never rounded up to a whole: 99.96 % is not 100 %.
 * @param {number | null} share 0 to 1
 * @param {number} [digits]
 */
export function percent(share, digits = 1) {
  if (share === null || share === undefined) return "–";
  const scale = 100 * 10 ** digits;
  const cut = Math.floor(share * scale + 1e-9) / 10 ** digits;
  return `${number(cut, share === 1 || share === 0 ? 0 : digits)}\u00a0%`;
}
