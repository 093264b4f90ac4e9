/** How it went: availability, what was seen of it, how fast slots were refilled, which run empty. */

import { h, icon } from "../lib/dom.js";
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
    const recorded =
      report.availability !== null || report.slots.some((slot) => slot.incidents > 0);
    content.replaceChildren(
      ...(recorded ? parts(report) : [nothing()]),
      ...(report.stock.length ? [stock(report.stock)] : []),
    );
  }

  root.tick = () => loader.load();
  choose(days);
  return root;
}

function parts(report) {
  const names = new Map(report.slots.map((slot) => [slot.id, slot.name]));
  const first = report.days.findIndex((one) => one.availability !== null);
  const days = first < 0 ? [] : report.days.slice(first); // before it there was no shelf to see
  return [
    figures(report),
    days.length > 1 && block("history.days", dayBars(days)),
    block("history.worst", worst(report.slots)),
    report.hours.slots.length > 0 && block("history.hours", heatMap(report.hours, names)),
    report.shelves.length > 0 && block("history.shelves", shelves(report.shelves)),
  ].filter(Boolean);
}

function block(key, ...content) {
  return h("section", { class: "panel block" }, h("h3", null, t(key)), content);
}

function nothing() {
  return h(
    "div",
    { class: "panel block nothing" },
    h("p", { class: "nothing__title" }, t("history.none")),
    h("p", { class: "muted" }, t("history.none_hint")),
  );
}

function figures(report) {
  const refill = report.median_refill_min;
  return h(
    "dl",
    { class: "figures" },
    figure(
      "history.availability",
      percent(report.availability),
      t("history.availability_hint"),
      true,
    ),
    figure("history.refill", refill === null ? "–" : duration(refill), t("history.refill_hint")),
    figure("history.not_visible", percent(report.not_visible), t("history.not_visible_hint")),
  );
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

function shelves(all) {
  const columns = ["history.shelves", "history.availability", "history.not_visible"];
  return table(
    columns,
    all.map((shelf) => [
      shelf.row === null
        ? shelf.camera
        : t("history.shelf", { camera: shelf.camera, row: shelf.row }),
      percent(shelf.availability),
      percent(shelf.not_visible),
    ]),
  );
}

function stock(products) {
  const columns = [
    "history.product",
    "state.stocked",
    "state.empty",
    "state.misplaced",
    "state.unknown",
  ];
  const rows = products.map((one) =>
    [one.name, one.stocked, one.empty, one.misplaced, one.unknown].map((cell) =>
      typeof cell === "number" ? number(cell) : cell,
    ),
  );
  return block("history.stock", table(columns, rows));
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
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": t(columns[0]) },
    h("table", { class: "table" }, h("thead", null, h("tr", null, head)), h("tbody", null, body)),
  );
}
