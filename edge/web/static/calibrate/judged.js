// Words and states that several views share.

import { knows, t } from "../lib/i18n.js";

/** @typedef {"none"|"empty"|"stocked"|"unsure"} Judged */
/** @typedef {{emptyAbove: number, stockedBelow: number}} Rule the daemon's; between the two it says nothing */

/**
 * @param {number} p probability that the slot is empty
 * @param {Rule} rule
 * @returns {Judged}
 */
export function judged(p, { emptyAbove, stockedBelow }) {
  return p >= emptyAbove ? "empty" : p > stockedBelow ? "unsure" : "stocked";
}

/** @param {number} p @returns {string} never 100 % or 0 % for what is only nearly so */
export function percentOf(p) {
  return p > 0.99 && p < 1 ? ">99" : p > 0 && p < 0.01 ? "<1" : String(Math.round(p * 100));
}

/** @param {string[]} codes */
export function warningWords(codes) {
  return codes.map((code) => t(`calibrate.warn.${code}`));
}

/**
 * Why the daemon gave no answer, or not the one that was asked for. Only what a person at the store's
 * computer has to mend is said in its own words, which are English.
 * @param {{code?: string, message?: string}} problem
 */
export function reasonOf({ code = "", message }) {
  if (code === "network") return t("login.network");
  return knows(`reason.${code}`) ? t(`reason.${code}`) : message || code;
}
