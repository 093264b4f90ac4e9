/** Hours × slots: one hue, light to dark; a table all along, its numbers on focus or all at once. */

import { h, setText } from "../lib/dom.js";
import { percent, t } from "../lib/i18n.js";

const SHADES = 5;
const FIRST = 12; // rows before "show all"
const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/**
 * @param {{slots: string[], hours: number[], empty_share: (number | null)[][]}} hours
 * @param {Map<string, string>} names slot id → name
 * @returns {HTMLElement}
 */
export function heatMap(hours, names) {
  const told = h("output", { class: "heat__told muted small" }, t("history.hours_hint"));
  const body = h("tbody", {
    onfocusin: (event) => tell(event.target),
    onpointerover: (event) => tell(event.target),
    onkeydown: move,
  });
  const head = h(
    "tr",
    null,
    h("td"),
    hours.hours.map((hour) =>
      h(
        "th",
        { scope: "col", class: "heat__hour" },
        hour % 6 === 0
          ? String(hour)
          : h("span", { class: "sr-only" }, t("history.hour", { h: hour })),
      ),
    ),
  );
  const grid = h("table", { class: "heat__table" }, h("thead", null, head), body);
  const numbers = h(
    "button",
    {
      class: "button button--quiet",
      type: "button",
      "aria-pressed": "false",
      onclick: () => toggle(),
    },
    t("history.numbers"),
  );
  const all = h(
    "button",
    { class: "button button--quiet", type: "button", onclick: () => fill(hours.slots.length) },
    t("history.all", { n: hours.slots.length }),
  );

  /** The row with most time empty first: the pattern stands at the top. */
  const order = hours.slots.map((_, at) => at).sort((a, b) => weight(b) - weight(a));

  function weight(at) {
    return hours.empty_share[at].reduce((sum, share) => sum + (share ?? 0), 0);
  }

  function fill(rows) {
    body.replaceChildren(
      ...order.slice(0, rows).map((at) => {
        const name = names.get(hours.slots[at]) ?? hours.slots[at];
        return h(
          "tr",
          null,
          h("th", { scope: "row", class: "heat__name" }, name),
          hours.hours.map((hour, column) => cell(name, hour, hours.empty_share[at][column])),
        );
      }),
    );
    body.querySelector("td")?.setAttribute("tabindex", "0");
    all.hidden = rows >= hours.slots.length;
  }

  function tell(target) {
    const words = target.dataset?.words;
    if (words) setText(told, words);
  }

  function toggle() {
    const on = grid.classList.toggle("heat__table--numbers");
    numbers.setAttribute("aria-pressed", String(on));
  }

  fill(FIRST);
  const scroller = h("div", { class: "scroll" }, grid);
  requestAnimationFrame(() => {
    const now = head.cells[1 + new Date().getHours()]; // on a phone: what has just been, in sight
    scroller.scrollLeft = now ? now.offsetLeft - scroller.clientWidth + now.offsetWidth : 0;
  });
  return h(
    "div",
    { class: "heat" },
    told,
    scroller,
    h("div", { class: "heat__foot" }, scale(), h("div", { class: "heat__buttons" }, all, numbers)),
  );
}

function cell(name, hour, share) {
  const words =
    share === null
      ? t("history.cell_none", { name, h: hour })
      : t("history.cell", { name, h: hour, share: percent(share, 0) });
  const shade =
    share === null ? "none" : share === 0 ? 0 : Math.min(SHADES, 1 + Math.floor(share * SHADES));
  return h(
    "td",
    {
      class: `heat__cell heat__cell--${shade}`,
      tabindex: "-1",
      "aria-label": words,
      dataset: { words },
    },
    h("span", { class: "heat__number" }, share === null ? "" : String(Math.round(100 * share))),
  );
}

/** Arrow keys go from cell to cell; Tab passes the whole map. */
function move(event) {
  const step = MOVES[event.key];
  const here = event.target.closest("td");
  if (!step || !here) return;
  event.preventDefault();
  const rows = [...event.currentTarget.rows];
  const next = rows[here.parentElement.sectionRowIndex + step[0]]?.cells[here.cellIndex + step[1]];
  if (!next || next.tagName !== "TD") return;
  here.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
}

function scale() {
  const shades = Array.from({ length: SHADES + 1 }, (_, at) =>
    h("span", { class: `heat__cell heat__cell--${at}` }),
  );
  return h(
    "p",
    { class: "heat__scale muted small", "aria-hidden": "true" },
    t("history.less"),
    h("span", { class: "heat__shades" }, shades),
    t("history.more"),
  );
}
