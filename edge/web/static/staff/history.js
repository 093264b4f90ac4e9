/** How it went: availability, what was seen of it, how fast slots were refilled, which run empty. */

import { h, icon, list } from "../lib/dom.js";
import { number, percent, t } from "../lib/i18n.js";
import { duration } from "../lib/time.js";
import { dayBars, shareBar } from "./bars.js";
import { heatMap } from "./heat.js";
import { keepLoaded } from "./loader.js";
import { heading } from "./parts.js";

const EVERY_MS = 60_000;
const WORST = 8;
const DAYS = [1, 7, 30];

/** @returns {any} a <section> with tick() */
export function historyView() {
  let days = 7;
  const range = h("div", { class: "segmented", role: "group", "aria-label": t("history.range") });
  const csv = h("a", { class: "button button--quiet csv", download: true });
  const content = h("div", { class: "history" });
  const root = h("section", { class: "view", id: "history", "aria-labelledby": "history-title" });
  const loader = keepLoaded(root, {
    url: () => `/api/report?days=${days}`,
    everyMs: EVERY_MS,
    draw,
    failed: "history.failed",
  });
  root.append(heading(t("tabs.history"), "history-title", range), loader.problem, content, csv);
  csv.append(icon("download"), t("history.csv"));
  for (const one of DAYS)
    range.append(
      h(
        "button",
        { type: "button", dataset: { days: one }, onclick: () => choose(one) },
        t(`history.days_${one}`),
      ),
    );

  function choose(wanted) {
    days = wanted;
    for (const button of range.children)
      button.setAttribute("aria-pressed", String(button.dataset.days === String(days)));
    csv.href = `/api/report.csv?days=${days}`;
    loader.load();
  }

  function draw(report) {
    list(
      content,
      parts(report),
      (part) => part.key,
      (part) => part.make(part.told),
    );
  }

  root.tick = () => loader.load();
  choose(days);
  return root;
}

/**
 * What there is to show, in its order.
 * @returns {{key: string, told: any, make: (told: any) => any}[]}
 *   make: returns an element with update(part)
 */
function parts(report) {
  const recorded = report.availability !== null || report.slots.some((slot) => slot.incidents > 0);
  return [
    ...(recorded ? past(report) : [{ key: "none", told: null, make: nothing }]),
    report.stock.length > 0 && { key: "stock", told: report.stock, make: stock },
  ].filter(Boolean);
}

function past(report) {
  const first = report.days.findIndex((one) => one.availability !== null);
  const days = first < 0 ? [] : report.days.slice(first); // before it there was no shelf to see
  const { availability, median_refill_min, not_visible, slots, shelves } = report;
  const hours = emptyHours(report);
  return [
    { key: "figures", told: { availability, median_refill_min, not_visible }, make: figures },
    days.length > 1 && { key: "days", told: days, make: () => drawn("history.days", dayBars) },
    { key: "worst", told: slots, make: () => drawn("history.worst", worst) },
    hours.rows.length > 0 && { key: "hours", told: hours, make: heat },
    shelves.length > 0 && { key: "shelves", told: shelves, make: shelfTable },
  ];
}

function emptyHours({ slots, hours }) {
  const names = new Map(slots.map((slot) => [slot.id, slot.name]));
  const rows = hours.slots.map((id, at) => ({
    id,
    name: names.get(id) ?? id,
    shares: hours.empty_share[at],
  }));
  return { hours: hours.hours, rows };
}

/** An element that is refilled only if what it shows has changed: a report comes each minute. */
function kept(element, fill) {
  let shown = "";
  element.update = ({ told }) => {
    const text = JSON.stringify(told);
    if (text !== shown) fill(told);
    shown = text;
  };
  return element;
}

function block(key, content, fill) {
  return kept(h("section", { class: "panel block" }, h("h3", null, t(key)), content), fill);
}

/** A block in which nothing can be opened, scrolled or focused: it may be drawn as a whole. */
function drawn(key, draw) {
  const content = h("div");
  return block(key, content, (told) => content.replaceChildren(draw(told)));
}

function heat({ hours }) {
  const map = heatMap(hours);
  return block("history.hours", map, ({ rows }) => map.update(rows));
}

function nothing() {
  return h(
    "div",
    { class: "panel block nothing" },
    h("p", { class: "nothing__title" }, t("history.none")),
    h("p", { class: "muted" }, t("history.none_hint")),
  );
}

function figures() {
  const root = h("dl", { class: "figures" });
  return kept(root, (told) => root.replaceChildren(...figuresOf(told)));
}

function figuresOf({ availability, median_refill_min: refill, not_visible }) {
  return [
    figure("history.availability", percent(availability), t("history.availability_hint"), true),
    figure("history.refill", refill === null ? "–" : duration(refill), t("history.refill_hint")),
    figure("history.not_visible", percent(not_visible), t("history.not_visible_hint")),
  ];
}

function figure(key, value, hint, first = false) {
  return h(
    "div",
    { class: first ? "figure figure--first panel" : "figure panel" },
    h("dt", { class: "figure__label" }, t(key)),
    h("dd", { class: "figure__value" }, value),
    h("dd", { class: "figure__hint" }, hint),
  );
}

function worst(slots) {
  const bad = slots
    .filter((slot) => slot.incidents > 0 || (slot.availability ?? 1) < 1)
    .slice(0, WORST);
  if (!bad.length) return h("p", { class: "muted" }, t("history.no_incidents"));
  return h(
    "ol",
    { class: "worst" },
    bad.map((slot) =>
      h(
        "li",
        { class: "worst__item" },
        h(
          "div",
          { class: "worst__line" },
          h("p", { class: "worst__name" }, slot.name),
          h("p", { class: "worst__share" }, percent(slot.availability)),
        ),
        shareBar(slot.availability, slot.not_visible),
        h("p", { class: "muted small" }, worstWords(slot)),
      ),
    ),
  );
}

function worstWords(slot) {
  return [
    t("history.incidents", { n: slot.incidents }),
    slot.empty_min > 0 && t("history.empty_time", { time: duration(slot.empty_min) }),
    slot.median_refill_min !== null && `${t("history.refill")} ${duration(slot.median_refill_min)}`,
    slot.not_visible > 0 && `${t("history.not_visible")} ${percent(slot.not_visible)}`,
  ]
    .filter(Boolean)
    .join(" · ");
}

function shelfTable() {
  const columns = ["history.shelves", "history.availability", "history.not_visible"];
  return tableBlock("history.shelves", columns, (shelf) => [
    t("history.shelf", { camera: shelf.camera, row: shelf.row }),
    percent(shelf.availability),
    percent(shelf.not_visible),
  ]);
}

function stock() {
  const columns = [
    "history.product",
    "state.stocked",
    "state.empty",
    "state.misplaced",
    "state.unknown",
  ];
  return tableBlock("history.stock", columns, (one) =>
    [one.name, one.stocked, one.empty, one.misplaced, one.unknown].map((cell) =>
      typeof cell === "number" ? number(cell) : cell,
    ),
  );
}

/** A table that scrolls; that it has focus and how far it is scrolled outlasts new figures. */
function tableBlock(key, columns, cellsOf) {
  const scroller = h("div", {
    class: "scroll",
    tabindex: "0",
    role: "region",
    "aria-label": t(columns[0]),
  });
  return block(key, scroller, (told) =>
    scroller.replaceChildren(table(columns, told.map(cellsOf))),
  );
}

/** A table whose first column names the row and whose others are numbers. */
function table(columns, rows) {
  const head = columns.map((key, at) =>
    h("th", { scope: "col", class: at ? "number" : null }, t(key)),
  );
  const body = rows.map((cells) =>
    h(
      "tr",
      null,
      cells.map((cell, at) =>
        at
          ? h("td", { class: cell === "0" ? "number zero" : "number" }, cell)
          : h("th", { scope: "row" }, cell),
      ),
    ),
  );
  return h(
    "table",
    { class: "table" },
    h("thead", null, h("tr", null, head)),
    h("tbody", null, body),
  );
}
