// The panel: four steps, of which one is open, and the one button that goes on.

import { h, icon, list, set, setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { MOST_COLUMNS, MOST_ROWS } from "./actions.js";
import { stepper, toggle, tool } from "./fields.js";

/** @typedef {import("./main.js").App} App */
/** @typedef {import("./state.js").Bay} Bay */
/** @typedef {{element: HTMLElement, update: () => void}} View */

const STEPS = ["shelf", "divide", "name", "check"];

export class Panel {
  /**
   * @param {App} app
   * @param {View} naming step 3
   * @param {View} check step 4
   * @param {View} chosen what is selected
   */
  constructor(app, naming, check, chosen) {
    this.app = app;
    this.shelf = new ShelfStep(app);
    this.divide = new DivideStep(app);
    this.views = [this.shelf, this.divide, naming, check];
    this.chosen = chosen;
    this.steps = h("nav", { class: "steps", "aria-label": t("calibrate.steps") }, STEPS.map((name, i) =>
      h("button", { type: "button", class: "steps__one", onclick: () => app.actions.goTo(i + 1) },
        h("span", { class: "steps__number", "aria-hidden": "true" }, i + 1), t(`calibrate.step.${name}`))));
    this.next = h("button", { type: "button", class: "button button--primary panel__next", onclick: () => this.goOn() });
    this.body = h("div", { class: "panel__body" }, this.views.map((view) => view.element), chosen.element);
    this.element = h("section", { class: "side", "aria-label": t("calibrate.panel") },
      this.steps, this.body, h("div", { class: "panel__foot" }, this.next));
  }

  goOn() {
    const { model, actions, saving } = this.app;
    if (model.step === 4) saving.save();
    else actions.goTo(model.step + 1);
  }

  update() {
    const { model, saving } = this.app;
    if (this.body.dataset.step !== String(model.step)) this.body.scrollTop = 0;
    this.body.dataset.step = String(model.step);
    this.body.inert = this.app.bench.picture === null;
    [...this.steps.children].forEach((button, i) => {
      set(button, "aria-current", i + 1 === model.step ? "step" : null);
      set(button, "data-done", i + 1 < model.step && model.slots.length > 0);
    });
    this.views.forEach((view, i) => {
      view.element.hidden = i + 1 !== model.step;
      if (i + 1 === model.step) view.update();
    });
    this.chosen.update();
    setText(this.next, model.step === 4 ? t(saving.busy ? "calibrate.saving" : "calibrate.save_n", { n: model.slots.length })
      : t("calibrate.next", { step: t(`calibrate.step.${STEPS[model.step]}`) }));
    this.next.disabled = model.step === 4 ? !saving.possible : !model.slots.length;
  }

  /** The counts, ready to be typed over. */
  focusCounts() {
    this.divide.rows.input.focus();
    this.divide.rows.input.select();
  }
}

class ShelfStep {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    const { actions } = app;
    const arm = (/** @type {import("./state.js").Tool} */ name, /** @type {string} */ sign, /** @type {string} */ key) => {
      const button = tool(sign, t(`calibrate.tool.${name}`), () => {
        actions.arm(app.model.tool === name ? null : name);
        app.focusStage();
      }, { key });
      return { name, button };
    };
    this.tools = [arm("bay", "quad", "B"), arm("row", "down", "N"), arm("slot", "plus", "1")];
    this.hint = h("p", { class: "hint", role: "status" });
    this.bays = h("ul", { class: "bays" });
    this.element = h("div", { class: "stack" }, this.hint,
      h("div", { class: "tools" }, this.tools.map(({ button }) => button)), this.bays);
  }

  update() {
    const { model } = this.app;
    for (const { name, button } of this.tools) set(button, "aria-pressed", String(model.tool === name));
    const taps = model.state.draft?.points.length ?? 0;
    const { tool: armed } = model;
    setText(this.hint, armed === "row" ? t(taps ? "calibrate.hint.row_1" : "calibrate.hint.row")
      : armed && taps ? t("calibrate.hint.taps", { n: 4 - taps })
        : armed === "slot" ? t("calibrate.hint.slot") : armed === "bay" ? t("calibrate.hint.bay") : t("calibrate.hint.more"));
    list(this.bays, model.state.bays, ({ key }) => key, ({ key }) => this.#bay(key));
  }

  /** @param {string} key */
  #bay(key) {
    const { model, actions } = this.app;
    const words = h("span");
    const button = h("button", { type: "button", class: "bays__one", onclick: () => model.select({ bay: key }) },
      icon("quad", "icon icon--small"), words);
    const element = h("li", { class: "bays__row" }, button, tool("trash", t("calibrate.delete"), () => {
      model.select({ bay: key });
      actions.remove();
    }, { wide: false }));
    element.update = (/** @type {Bay} */ bay) => {
      const columns = new Set(bay.rows.map((row) => row.cells.length));
      const n = model.state.bays.indexOf(bay) + 1;
      setText(words, t("calibrate.bay", { n, rows: bay.rows.length, columns: [...columns].join("·") }));
      set(button, "aria-pressed", String(model.selection.bay === bay.key));
    };
    return element;
  }
}

class DivideStep {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    const { actions, model } = app;
    const current = () => model.bay?.rows;
    this.rows = stepper({ label: t("calibrate.rows"), name: "rows", low: 1, high: MOST_ROWS,
      get: () => current()?.length ?? actions.counts.rows, put: (rows) => actions.setCounts({ rows }) });
    this.columns = stepper({ label: t("calibrate.columns"), name: "columns", low: 1, high: MOST_COLUMNS,
      get: () => current()?.[0].cells.length ?? actions.counts.columns, put: (columns) => actions.setCounts({ columns }) });
    this.gap = stepper({ label: t("calibrate.gap"), name: "gap", low: 0, high: 30,
      get: () => Math.round(actions.counts.gap * 100), put: (gap) => actions.setGap(gap / 100) });
    this.suggest = tool("suggest", t("calibrate.suggest"), () => actions.suggest(), { key: "S", kind: "button--accent" });
    this.equal = tool("equal", t("calibrate.equal"), () => actions.equalise(), { key: "E" });
    this.turn = tool("turn", t("calibrate.turn"), () => actions.turn(), { key: "R" });
    this.keepEqual = toggle({ label: t("calibrate.keep_equal"), title: t("calibrate.keep_equal_hint"),
      get: () => model.keepEqual, put: (value) => { model.keepEqual = value; model.changed(); } });
    this.each = h("ul", { class: "each" });
    this.eachBox = h("details", { class: "more" }, h("summary", null, t("calibrate.each_row")), this.each);
    this.element = h("div", { class: "stack" },
      h("p", { class: "hint" }, t("calibrate.hint.divide")),
      h("div", { class: "counts" }, labelled(t("calibrate.rows"), this.rows.element),
        h("span", { class: "counts__times", "aria-hidden": "true" }, "×"),
        labelled(t("calibrate.columns"), this.columns.element)),
      h("div", { class: "tools" }, this.suggest, this.equal, this.turn),
      h("div", { class: "counts" }, labelled(t("calibrate.gap"), this.gap.element), this.keepEqual.element), this.eachBox);
  }

  update() {
    const { model, actions } = this.app;
    if (!model.bay && model.state.bays.length === 1 && !model.selection.keys.length) {
      model.selection = { ...model.selection, bay: model.state.bays[0].key };
    }
    for (const part of [this.rows, this.columns, this.gap, this.keepEqual]) part.update();
    this.suggest.disabled = !model.bay || actions.suggesting;
    set(this.suggest, "aria-busy", String(actions.suggesting));
    this.equal.disabled = !model.bay;
    this.turn.disabled = !model.bay;
    const rows = model.bay?.rows ?? [];
    this.eachBox.hidden = rows.length < 2;
    list(this.each, rows.map((row, r) => ({ row, r, key: `${model.bay?.key}/${r}` })), ({ key }) => key, ({ r }) => this.#row(r));
  }

  /** @param {number} r */
  #row(r) {
    const { model, actions } = this.app;
    const label = t("calibrate.row_n", { n: r + 1 });
    const count = stepper({ label: `${label} · ${t("calibrate.columns")}`, name: `columns-${r + 1}`, low: 1, high: MOST_COLUMNS,
      get: () => model.bay?.rows[r]?.cells.length ?? 1, put: (value) => actions.setRowColumns(r, value) });
    const pick = h("button", { type: "button", class: "each__row", onclick: () => model.select({ bay: model.selection.bay, r }) }, label);
    const element = h("li", { class: "each__one" }, pick, count.element);
    element.update = () => {
      set(pick, "aria-pressed", String(model.selection.r === r));
      count.update();
    };
    return element;
  }
}

/** @param {string} label @param {HTMLElement} control */
function labelled(label, control) {
  return h("div", { class: "counts__one" }, h("span", { class: "counts__label", "aria-hidden": "true" }, label), control);
}

