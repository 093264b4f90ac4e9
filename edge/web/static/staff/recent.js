/** The last half hour, newest first; what was done by hand can be taken back from here. */

import { h, icon, list, set, setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { clock, duration } from "../lib/time.js";
import { heading } from "./parts.js";

/** @typedef {import("./model.js").Recent} Recent */

const ICONS = {
  opened: "empty",
  closed: "check",
  ack: "walk",
  release: "undo",
  snooze: "stale",
  snooze_ended: "undo",
  not_empty: "close",
  undo_not_empty: "undo",
};

/**
 * @param {{takeBack: (verb: any, about: any) => void}} hands
 * @returns {any} an element with update(recent)
 */
export function recentList(hands) {
  const items = h("ol");
  const none = h("p", { class: "muted small" }, t("recent.none"));
  const root = h(
    "section",
    { class: "recent", "aria-labelledby": "recent-title" },
    heading(t("recent.title"), "recent-title"),
    none,
    items,
  );
  root.update = (/** @type {Recent[]} */ recent) => {
    none.hidden = recent.length > 0;
    list(items, recent, keyOf, (one) => entry(one, hands));
  };
  return root;
}

/** @param {Recent} one */
function keyOf(one) {
  return [one.at, one.slot, one.kind].join(" ");
}

function entry(one, hands) {
  const what = h("p", { class: "recent__what" });
  const undo = h("button", { class: "button button--quiet", type: "button" }, t("act.undo"));
  const element = h(
    "li",
    { class: "recent__item", dataset: { kind: one.kind } },
    h("time", { class: "recent__time", datetime: one.at }, clock(one.at)),
    icon(ICONS[one.kind] ?? "info"),
    h("div", null, h("p", { class: "recent__name" }, one.name), what),
    undo,
  );
  let verb = one.undo;
  undo.addEventListener("click", () =>
    hands.takeBack(verb, { slot: one.slot, name: one.name, incident_id: one.incident_id }),
  );
  element.update = (/** @type {Recent} */ now) => {
    verb = now.undo;
    undo.hidden = verb === null;
    set(undo, "aria-label", t("act.of", { name: now.name, act: t("act.undo") }));
    setText(what, deedWords(now));
  };
  return element;
}

/**
 * What was done, and by whom if that is known.
 * @param {Recent} one
 */
export function deedWords(one) {
  return [kindWords(one), one.by].filter(Boolean).join(" · ");
}

/** @param {Recent} one */
function kindWords(one) {
  if (one.kind === "closed" && one.minutes_open !== null)
    return t("recent.closed_after", { time: duration(one.minutes_open) });
  return t(`recent.${one.kind}`);
}
