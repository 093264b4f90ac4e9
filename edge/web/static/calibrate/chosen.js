// What is selected: its name, its corners as numbers, and what can be done with it.

import { h, set, setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { isConvex } from "../geom/quad.js";
import { textField, tool } from "./fields.js";
import { changeLoose, detach, relabel } from "./edits.js";
import { percentOf, warningWords } from "./judged.js";

/** @typedef {import("./main.js").App} App */

export class Chosen {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    const { actions } = app;
    this.title = h("h2", { class: "chosen__title" });
    this.state = h("p", { class: "chosen__state" });
    this.picture = h("img", { class: "chosen__picture", alt: "" });
    this.split = tool("split", t("calibrate.split"), () => actions.split(), { key: "A" });
    this.merge = tool("merge", t("calibrate.merge"), () => actions.merge(), { key: "M" });
    this.copy = tool("copy", t("calibrate.duplicate"), () => actions.duplicate(), { key: "D" });
    this.turn = tool("turn", t("calibrate.turn"), () => actions.turn(), { key: "R" });
    this.drop = tool("trash", t("calibrate.delete"), () => actions.remove(), { key: "Delete", kind: "button--danger" });
    const field = (/** @type {"name"|"sku"|"id"} */ name) => textField({ label: t(`calibrate.field.${name}`), name: `chosen-${name}`,
      get: () => this.#only?.[name] ?? "", put: (value) => this.#label(name, value) });
    this.fields = [field("name"), field("sku"), field("id")];
    this.priority = textField({ label: t("calibrate.field.priority"), name: "chosen-priority",
      get: () => String(this.#only?.priority ?? ""), put: (value) => this.#priority(value) });
    this.fields.push(this.priority);
    this.numbers = [0, 1, 2, 3].flatMap((corner) => /** @type {(0|1)[]} */ ([0, 1]).map((axis) => this.#number(corner, axis)));
    this.single = h("div", { class: "stack" }, h("div", { class: "chosen__fields" }, this.fields.map(({ element }) => element)),
      h("details", { class: "more" }, h("summary", null, t("calibrate.corners")),
        h("div", { class: "corners" }, this.numbers.map(({ element }) => element))));
    this.element = h("section", { class: "chosen", "aria-label": t("calibrate.chosen") },
      h("div", { class: "chosen__head" }, this.picture, h("div", null, this.title, this.state)),
      h("div", { class: "tools tools--four" }, this.split, this.merge, this.copy, this.drop, this.turn), this.single);
  }

  get #only() {
    const { selected } = this.app.model;
    return selected.length === 1 ? selected[0] : null;
  }

  /** @param {"name"|"sku"|"id"} name @param {string} value */
  #label(name, value) {
    const only = this.#only;
    if (!only) return;
    const { model } = this.app;
    model.commit("calibrate.did.label", relabel(model.state, new Map([[only.key, { [name]: value.trim() }]])), `${name}:${only.key}`);
  }

  /** @param {string} value */
  #priority(value) {
    const only = this.#only;
    const priority = value.trim() === "" ? null : Number.parseInt(value, 10);
    if (!only || (priority !== null && !(priority >= 1))) return;
    const { model } = this.app;
    model.commit("calibrate.did.label", relabel(model.state, new Map([[only.key, { priority }]])), `priority:${only.key}`);
  }

  /** @param {number} corner @param {0|1} axis */
  #number(corner, axis) {
    const label = `${t(`calibrate.handle.corner_${corner}`)} ${axis ? "y" : "x"}`;
    const input = h("input", { type: "number", step: "0.5", class: "input", "aria-label": label,
      name: `corner-${corner}-${axis ? "y" : "x"}`, onchange: () => this.#place(corner, axis, Number(input.value)) });
    const element = h("label", { class: "corners__one" }, h("span", null, label), input);
    return { element, update: () => {
      const value = this.#only?.quad[corner][axis];
      if (value !== undefined && document.activeElement !== input) input.value = value.toFixed(1);
    } };
  }

  /** @param {number} corner @param {0|1} axis @param {number} value */
  #place(corner, axis, value) {
    const only = this.#only, { model } = this.app;
    if (!only || !Number.isFinite(value)) return;
    const quad = /** @type {any} */ (only.quad.map((point, i) =>
      (i === corner ? (axis ? [point[0], value] : [value, point[1]]) : point)));
    if (!isConvex(quad)) { this.app.say(t("calibrate.not_convex"), true); model.changed(); return; }
    const state = changeLoose(detach(model.state, [only]), new Set([only.key]), () => quad);
    model.commit("calibrate.did.corner", state, `number:${only.key}`);
    this.app.actions.pick(only.key, false);
  }

  update() {
    const { model, scores } = this.app;
    const { selected } = model;
    const only = this.#only;
    this.element.hidden = !selected.length || model.tool !== null;
    if (this.element.hidden) return;
    const score = only && scores.known.get(only.key);
    setText(this.title, only ? only.name : t("calibrate.n_chosen", { n: selected.length }));
    setText(this.state, only ? [only.id, score && t("calibrate.p_empty", { p: percentOf(score.p) }),
      ...warningWords(scores.warnings.get(only.key) ?? [])].filter(Boolean).join(" · ") : "");
    this.picture.hidden = !score;
    if (score && this.picture.src !== score.url) this.picture.src = score.url;
    if (score) this.picture.style.setProperty("aspect-ratio", `${score.width} / ${score.height}`);
    this.merge.disabled = selected.length < 2;
    this.turn.hidden = selected.every(({ bay }) => bay); // a shelf is turned as a whole
    this.single.hidden = !only;
    if (only) for (const part of [...this.fields, ...this.numbers]) part.update();
    set(this.fields[2].input, "aria-invalid", only && model.problems.get(only.key) ? "true" : null);
  }
}
