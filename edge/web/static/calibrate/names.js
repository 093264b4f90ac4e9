// Step 3: ids and names by a pattern, from a spreadsheet's column, or one by one in a table.

import { h, list, set, setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { stepper, textField, toggle, tool } from "./fields.js";
import { relabel } from "./edits.js";

/** @typedef {import("./main.js").App} App */
/** @typedef {import("./state.js").Slot} Slot */
/** @typedef {import("../geom/naming.js").Naming} Naming */

export class NameStep {
  /**
   * @param {App} app
   * @param {import("./paste.js").Paste} paste
   */
  constructor(app, paste) {
    this.app = app;
    const text = (/** @type {"id"|"name"} */ name, /** @type {string} */ hint) => textField({
      label: t(`calibrate.pattern_${name}`), name: `pattern-${name}`, hint,
      get: () => app.model.state.naming[name], put: (value) => this.#set({ [name]: value.trim() }) });
    const flag = (/** @type {"rightToLeft"|"bottomUp"|"zigzag"} */ name) => toggle({
      label: t(`calibrate.way.${name}`), get: () => app.model.state.naming[name], put: (value) => this.#set({ [name]: value }) });
    const first = (/** @type {"firstRow"|"firstColumn"} */ name) => stepper({ label: t(`calibrate.${name}`), name, low: 0, high: 999,
      get: () => app.model.state.naming[name], put: (value) => this.#set({ [name]: value }) });
    this.patterns = [text("id", t("calibrate.pattern_hint", { row: "{row}", col: "{col:02}", n: "{n}", camera: "{camera}" })), text("name", "")];
    this.flags = [flag("rightToLeft"), flag("bottomUp"), flag("zigzag")];
    this.firsts = [first("firstRow"), first("firstColumn")];
    this.all = tool("suggest", t("calibrate.by_pattern"), () => this.#byPattern());
    this.table = h("tbody");
    this.element = h("div", { class: "stack" }, paste.element,
      h("details", { class: "more", open: true }, h("summary", null, t("calibrate.pattern")),
        h("div", { class: "stack stack--inset" }, this.patterns.map(({ element }) => element),
          h("div", { class: "counts" }, this.firsts.map(({ element }, i) => h("div", { class: "counts__one" },
            h("span", { class: "counts__label", "aria-hidden": "true" }, t(`calibrate.${i ? "firstColumn" : "firstRow"}`)), element))),
          h("div", { class: "tools tools--wrap" }, this.flags.map(({ element }) => element)), this.all)),
      h("div", { class: "scroll" }, h("table", { class: "table names" },
        h("caption", { class: "sr-only" }, t("calibrate.table")),
        h("thead", null, h("tr", null, ["id", "name", "sku"].map((name) => h("th", { scope: "col" }, t(`calibrate.field.${name}`))))),
        this.table)));
  }

  /** @param {Partial<Naming>} naming */
  #set(naming) {
    const { model } = this.app;
    const state = { ...model.state, naming: { ...model.state.naming, ...naming } };
    model.commit("calibrate.did.pattern", state, `pattern:${Object.keys(naming)}`);
  }

  /** Ids and names as the pattern says, for all or for what is selected. */
  #byPattern() {
    const { model } = this.app;
    const slots = model.selected.length > 1 ? model.selected : model.slots;
    model.commit("calibrate.did.by_pattern",
      relabel(model.state, new Map(slots.map((slot) => [slot.key, { id: "", name: "" }]))));
  }

  update() {
    const { model } = this.app;
    for (const part of [...this.patterns, ...this.flags, ...this.firsts]) part.update();
    list(this.table, model.slots, (slot) => slot.key, (slot) => this.#row(slot.key));
  }

  /** @param {string} key */
  #row(key) {
    const { model } = this.app;
    /** @type {("id"|"name"|"sku")[]} */
    const names = ["id", "name", "sku"];
    const inputs = names.map((name) => h("input", { class: "names__input", name: `slot-${name}`, autocomplete: "off", spellcheck: "false",
      onfocus: () => { if (!model.selection.keys.includes(key)) this.app.actions.pick(key, false); },
      oninput: (/** @type {any} */ event) => model.commit("calibrate.did.label",
        relabel(model.state, new Map([[key, { [name]: event.target.value.trim() }]])), `${name}:${key}`) }));
    const problem = h("p", { class: "field__error" });
    const element = h("tr", null, inputs.map((input, i) => h("td", null, input, i === 0 && problem)));
    element.update = (/** @type {Slot} */ slot) => {
      names.forEach((name, i) => {
        if (document.activeElement !== inputs[i] && inputs[i].value !== slot[name]) inputs[i].value = slot[name];
        set(inputs[i], "aria-label", `${slot.id} · ${t(`calibrate.field.${name}`)}`);
      });
      const wrong = model.problems.get(slot.key);
      problem.hidden = !wrong;
      setText(problem, wrong ? t(`calibrate.problem.${wrong}`) : "");
      set(inputs[0], "aria-invalid", wrong ? "true" : null);
      set(element, "aria-selected", String(model.selection.keys.includes(slot.key)));
    };
    return element;
  }
}
