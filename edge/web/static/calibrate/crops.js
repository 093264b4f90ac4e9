// Step 4: every slot's upright crop with the model's probability, and what speaks against a slot.

import { h, icon, list, set, setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { tool } from "./fields.js";
import { percentOf, reasonOf, warningWords } from "./judged.js";

/** @typedef {import("./state.js").Slot} Slot */
/** @typedef {import("./scores.js").Scores} Scores */
/** @typedef {import("./model.js").Model} Model */

/** @type {Record<string, string>} */
const ICONS = { empty: "empty", stocked: "stocked", unsure: "unknown", none: "stale" };

export class Crops {
  /**
   * @param {Model} model
   * @param {Scores} scores
   * @param {(key: string) => void} show a slot on the picture
   * @param {() => void} clip what reaches beyond the picture
   */
  constructor(model, scores, show, clip) {
    this.model = model;
    this.scores = scores;
    this.show = show;
    this.summary = h("div", { class: "summary" });
    this.failed = h("p", { class: "notice notice--alert", role: "status", hidden: true });
    this.problems = h("ul", { class: "problems" });
    this.cards = h("ul", { class: "crops" });
    this.clip = tool("fit", t("calibrate.clip"), clip);
    this.element = h("div", { class: "stack" }, this.summary, this.failed, this.problems, this.clip, this.cards);
  }

  /** @param {Map<string, string[]>} refused what saving complained of, by slot key */
  update(refused) {
    const { model, scores } = this;
    const slots = model.slots;
    this.failed.hidden = !scores.failed;
    if (scores.failed) setText(this.failed, t("calibrate.scores_failed", { why: reasonOf(scores.failed) }));
    const states = slots.map((slot) => scores.stateOf(slot.key));
    const counts = ["stocked", "empty", "unsure", "none"].map((state) => ({
      state, n: states.filter((one) => one === state).length }));
    list(this.summary, counts.filter(({ n }) => n), ({ state }) => state, ({ state }) => summaryChip(state));
    const bad = slots.flatMap((slot) => [
      ...(refused.get(slot.key) ?? []).map((text) => ({ slot, text, key: `${slot.key}/${text}` })),
      ...warningWords(scores.warnings.get(slot.key) ?? []).map((text) => ({ slot, text, key: `${slot.key}/${text}` })),
    ]);
    this.clip.hidden = !slots.some((slot) => scores.warnings.get(slot.key)?.includes("outside"));
    list(this.problems, bad, ({ key }) => key, (item) => this.#problem(item));
    list(this.cards, slots, (slot) => slot.key, (slot) => this.#card(slot));
  }

  /** @param {{slot: Slot, text: string}} item */
  #problem(item) {
    const name = h("span", { class: "problems__name" });
    const element = h("li", null, h("button", { type: "button", class: "problems__item",
      onclick: () => this.show(item.slot.key) }, icon("alert", "icon icon--small"), name, h("span", null, item.text)));
    element.update = (/** @type {{slot: Slot}} */ now) => setText(name, now.slot.name);
    return element;
  }

  /** @param {Slot} first */
  #card({ key }) {
    const picture = h("img", { class: "crop__picture", alt: "", decoding: "async" });
    const name = h("span", { class: "crop__name" }), chance = h("span", { class: "crop__chance" });
    const sign = h("span", { class: "crop__sign" });
    const button = h("button", { type: "button", class: "crop", onclick: () => this.show(key) },
      h("span", { class: "crop__frame" }, picture), chance, sign, name);
    const element = h("li", null, button);
    let drawn = "";
    element.update = (/** @type {Slot} */ slot) => {
      const score = this.scores.known.get(slot.key), state = this.scores.stateOf(slot.key);
      const warned = this.scores.warnings.get(slot.key) ?? [];
      set(button, "data-state", state);
      set(button, "data-warned", warned.length > 0);
      set(button, "aria-pressed", String(this.model.selection.keys.includes(slot.key)));
      setText(name, slot.name);
      setText(chance, score ? percentOf(score.p) : "…");
      if (drawn !== state) { sign.replaceChildren(icon(ICONS[state], "icon icon--small")); drawn = state; }
      set(button, "aria-label", [slot.name, slot.id,
        score ? t("calibrate.p_empty", { p: percentOf(score.p) }) : t("calibrate.state.none"),
        ...warningWords(warned)].join(" · "));
      if (score && picture.src !== score.url) picture.src = score.url;
      // as the shelf shows it: the model's square is stretched back to the slot's own shape
      if (score) picture.style.setProperty("aspect-ratio", `${score.width} / ${score.height}`);
    };
    return element;
  }
}

/** @param {string} state */
function summaryChip(state) {
  const words = h("span");
  const element = h("span", { class: `chip ${state === "empty" ? "chip--empty" : state === "stocked" ? "chip--stocked" : "chip--unknown"}` },
    icon(ICONS[state]), words);
  element.update = (/** @type {{n: number}} */ { n }) => setText(words, `${t(`calibrate.state.${state}`)} ${n}`);
  return element;
}
