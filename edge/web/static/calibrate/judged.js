// Words and states that several views share.

import { knows, t } from "../lib/i18n.js";

// Where the shipped model says so; between them it says nothing.
const EMPTY_ABOVE = 0.8, STOCKED_BELOW = 0.4;

/**
 * @param {number|undefined} p probability that the slot is empty
 * @returns {"none"|"empty"|"stocked"|"unsure"}
 */
export function stateOf(p) {
  if (p === undefined) return "none";
  return p >= EMPTY_ABOVE ? "empty" : p <= STOCKED_BELOW ? "stocked" : "unsure";
}

/** @param {number} p @returns {string} never 100 % or 0 % for what is only nearly so */
export function percentOf(p) {
  return p > 0.99 && p < 1 ? ">99" : p > 0 && p < 0.01 ? "<1" : String(Math.round(p * 100));
}

/** @param {string[]} codes */
export function warningWords(codes) {
  return codes.map((code) => t(`calibrate.warn.${code}`));
}

/** Why the daemon gave no answer, or not the one that was asked for. @param {import("../lib/net.js").ApiError} problem */
export function reasonOf({ code, message }) {
  if (code === "network") return t("login.network");
  return knows(`reason.${code}`) ? t(`reason.${code}`) : message || code;
}
