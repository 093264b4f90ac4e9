/** Times in the person's language. Ages count by the daemon's clock: a phone's may be wrong. */

import { lang, t } from "./i18n.js";

let aheadMs = 0;

/** @param {string} iso the daemon's time, as it said just now */
export function setServerTime(iso) {
  aheadMs = Date.parse(iso) - Date.now();
}

/** @returns {number} milliseconds since 1970 by the daemon's clock */
export function now() {
  return Date.now() + aheadMs;
}

/**
 * @param {string | null} iso
 * @returns {number} whole minutes since then, at least 0; 0 where unknown
 */
export function minutesSince(iso) {
  return iso ? Math.max(0, Math.floor((now() - Date.parse(iso)) / 60000)) : 0;
}

/** @param {string | null} iso */
function secondsSince(iso) {
  return iso ? Math.max(0, Math.round((now() - Date.parse(iso)) / 1000)) : 0;
}

/**
 * How long something has lasted: "32분째", "2 h 5 min".
 * @param {number} minutes
 */
export function lasting(minutes) {
  if (minutes < 1) return t("age.now");
  if (minutes < 60) return t("age.minutes", { m: minutes });
  if (minutes < 48 * 60) return t("age.hours", { h: Math.floor(minutes / 60), m: minutes % 60 });
  return t("age.days", { d: Math.floor(minutes / 1440), h: Math.floor((minutes % 1440) / 60) });
}

/**
 * A length of time: "12분", "1 h 3 min".
 * @param {number} minutes
 */
export function duration(minutes) {
  if (minutes < 1) return t("duration.less");
  const whole = Math.round(minutes);
  if (whole < 60) return t("duration.minutes", { m: whole });
  return t("duration.hours", { h: Math.floor(whole / 60), m: whole % 60 });
}

/**
 * How long ago: "3초 전", "4 min ago".
 * @param {string | null} iso
 */
export function ago(iso) {
  if (!iso) return t("ago.never");
  const seconds = secondsSince(iso);
  if (seconds < 60) return t("ago.seconds", { s: seconds });
  if (seconds < 3600) return t("ago.minutes", { m: Math.floor(seconds / 60) });
  if (seconds < 48 * 3600) return t("ago.hours", { h: Math.floor(seconds / 3600) });
  return t("ago.days", { d: Math.floor(seconds / 86400) });
}

/**
 * The time of day; with the date where it was not today.
 * @param {string | number | null} moment
 * @param {boolean} [seconds]
 */
export function clock(moment, seconds = false) {
  if (moment === null) return "–";
  const date = new Date(moment);
  const today = date.toDateString() === new Date(now()).toDateString();
  return format(
    {
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
      ...(seconds && { second: "2-digit" }),
      ...(!today && { month: "short", day: "numeric" }),
    },
    date,
  );
}

/** @param {string} date YYYY-MM-DD */
export function day(date) {
  return format({ month: "short", day: "numeric", timeZone: "UTC" }, new Date(`${date}T00:00:00Z`));
}

/** @param {string} date YYYY-MM-DD */
export function dayOfMonth(date) {
  return format({ day: "numeric", timeZone: "UTC" }, new Date(`${date}T00:00:00Z`));
}

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

function format(options, date) {
  const key = lang() + JSON.stringify(options);
  if (!formats.has(key))
    formats.set(key, new Intl.DateTimeFormat(lang() === "ko" ? "ko-KR" : "en-GB", options));
  return formats.get(key).format(date);
}
