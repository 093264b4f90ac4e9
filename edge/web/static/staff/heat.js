/** Hours × slots: one hue, light to dark; a table all along, its numbers on focus or all at once. */

import { h, list, set, setText } from "../lib/dom.js";
import { percent, t } from "../lib/i18n.js";

const SHADES = 5;
const FIRST = 12; // rows before "show all"
const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/** @typedef {{id: string, name: string, shares: (number | null)[]}} Row how empty it was by hour */

/**
 * @param {number[]} hours
 * @returns {any} an element with update(rows); what was opened in it stays open, and focus stays
 */
export function heatMap(hours) {
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
    hours.map((hour) =>
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
  const all = h("button", {
    class: "button button--quiet",
    type: "button",
    onclick: () => ((every = true), show()),
  });
  /** @type {Row[]} */
  let rows = [];
  let every = false;
  /** @type {HTMLElement | null} */
  let about = null;

  function show() {
    const focused = document.activeElement;
    list(
      body,
      every ? rows : rows.slice(0, FIRST),
      (row) => row.id,
      () => line(hours),
    );
    if (body.contains(focused)) focused.focus({ preventScroll: true }); // its row may have moved
    if (!body.querySelector("td[tabindex='0']"))
      body.querySelector("td")?.setAttribute("tabindex", "0");
    if (about) setText(told, about.isConnected ? about.dataset.words : t("history.hours_hint"));
    setText(all, t("history.all", { n: rows.length }));
    all.hidden = every || rows.length <= FIRST;
  }

  function tell(target) {
    if (!target.dataset?.words) return;
    about = target;
    setText(told, target.dataset.words);
  }

  function toggle() {
    const on = grid.classList.toggle("heat__table--numbers");
    numbers.setAttribute("aria-pressed", String(on));
  }

  const scroller = h("div", { class: "scroll" }, grid);
  requestAnimationFrame(() => {
    const now = head.cells[1 + new Date().getHours()]; // on a phone: what has just been, in sight
    scroller.scrollLeft = now ? now.offsetLeft - scroller.clientWidth + now.offsetWidth : 0;
  });
  const root = h(
    "div",
    { class: "heat" },
    told,
    scroller,
    h("div", { class: "heat__foot" }, scale(), h("div", { class: "heat__buttons" }, all, numbers)),
  );
  root.update = (/** @type {Row[]} */ now) => {
    // The row with most time empty first: the pattern stands at the top.
    rows = [...now].sort((a, b) => weight(b) - weight(a));
    show();
  };
  return root;
}

/** @param {Row} row */
function weight(row) {
  return row.shares.reduce((sum, share) => sum + (share ?? 0), 0);
}

/** A slot's row; update(row). @param {number[]} hours */
function line(hours) {
  const name = h("th", { scope: "row", class: "heat__name" });
  const cells = hours.map(cell);
  const root = h("tr", null, name, cells);
  root.update = (/** @type {Row} */ row) => {
    setText(name, row.name);
    cells.forEach((one, at) => one.update(row.name, row.shares[at]));
  };
  return root;
}

/** @param {number} hour */
function cell(hour) {
  const figure = h("span", { class: "heat__number" });
  const root = h("td", { tabindex: "-1" }, figure);
  root.update = (name, share) => {
    const words =
      share === null
        ? t("history.cell_none", { name, h: hour })
        : t("history.cell", { name, h: hour, share: percent(share, 0) });
    const shade =
      share === null ? "none" : share === 0 ? 0 : Math.min(SHADES, 1 + Math.floor(share * SHADES));
    set(root, "class", `heat__cell heat__cell--${shade}`);
    set(root, "aria-label", words);
    set(root, "dataset", { words });
    setText(figure, share === null ? "" : Math.round(100 * share));
  };
  return root;
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
