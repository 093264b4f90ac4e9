// What a person can do, for buttons, keys and gestures alike. Each is one step that undo names.

import { t } from "../lib/i18n.js";
import { getPref, setPref } from "../lib/prefs.js";
import { isConvex, ordered, rectangle } from "../geom/quad.js";
import { DEFAULT_GAP, spread } from "../geom/divide.js";
import { clipped } from "./clip.js";
import { dragOf } from "./drags.js";
import * as edits from "./edits.js";
import { across, inHand, isHeld, LINES_UNTIL, linesOf, middleOf, showsLines } from "./hits.js";
import { NO_PART } from "./model.js";
import { newCell } from "./state.js";
import { suggest } from "./suggest.js";

/** @typedef {import("../geom/homography.js").Point} Point */
/** @typedef {import("../geom/homography.js").Quad} Quad */
/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./bench.js").Bench} Bench */
/** @typedef {import("./hits.js").Target} Target */
/** @typedef {import("./state.js").Tool} Tool */
/** @typedef {import("./edits.js").Counts} Counts */

export const MOST_ROWS = 40, MOST_COLUMNS = 200;
const LEAST_DIAGONAL = 12; // pixels of the picture

export class Actions {
  /** Of the next shelf; remembered on this device. @type {Counts} */
  counts = { rows: 1, columns: 6, gap: DEFAULT_GAP };
  suggesting = false;
  /** What was typed for rows and columns since they were last left alone. @type {Partial<Counts>} */
  #counted = {};

  /**
   * @param {Model} model
   * @param {Bench} bench
   * @param {{say: (text: string, error?: boolean) => void, drawn: () => void}} page drawn: a shelf was closed
   */
  constructor(model, bench, page) {
    this.model = model;
    this.bench = bench;
    this.page = page;
    const [rows, columns] = (getPref("calibrate.counts") ?? "").split("x").map(Number);
    if (rows > 0 && columns > 0) this.#remember({ rows, columns });
  }

  /** @param {Partial<Counts>} counts */
  #remember(counts) {
    const { rows, columns, gap } = { ...this.counts, ...counts };
    this.counts = { gap, rows: held(rows, 1, MOST_ROWS), columns: held(columns, 1, MOST_COLUMNS) };
    setPref("calibrate.counts", `${this.counts.rows}x${this.counts.columns}`);
  }

  /** @param {number} step */
  goTo(step) {
    this.model.step = held(step, 1, 4);
    if (step !== 1) this.arm(null);
    if (step > 2 && !this.model.selection.keys.length) this.model.select({});
    else if (!this.model.slots.length) this.arm("bay");
    this.model.changed();
  }

  /** @param {Tool|null} tool */
  arm(tool) {
    const { model } = this;
    if (tool === "row" && !model.state.bays.length) { this.page.say(t("calibrate.no_row_above")); return; }
    if (model.state.draft && model.state.draft.tool !== tool) {
      model.commit("calibrate.did.cancel", { ...model.state, draft: null });
    }
    model.tool = tool;
    if (!tool) { model.changed(); return; }
    model.step = 1;
    model.select({ bay: tool === "row" ? model.above?.key : null });
  }

  /** A tap with the armed tool. @param {Point} point */
  tap(point) {
    const { model } = this;
    const { tool, state } = model;
    if (!tool) return;
    const points = [...(state.draft?.points ?? []), point];
    const above = tool === "row" ? this.model.above : null;
    if (points.length < (above ? 2 : 4)) {
      model.commit("calibrate.did.point", { ...state, draft: { tool, points } });
      return;
    }
    this.#close(above ? edits.rowBelow(above.quad, points) : ordered(points), tool);
  }

  /** @param {Point} a @param {Point} b */
  diagonal(a, b) {
    const quad = rectangle(a, b);
    const { tool } = this.model;
    if (!tool || quad[1][0] - quad[0][0] < LEAST_DIAGONAL || quad[3][1] - quad[0][1] < LEAST_DIAGONAL) return;
    this.#close(quad, tool);
  }

  /** @param {Quad} quad @param {Tool} tool */
  #close(quad, tool) {
    const { model } = this;
    if (!isConvex(quad)) { this.page.say(t("calibrate.not_convex"), true); return; }
    if (tool === "slot") {
      const slot = { ...newCell(), quad };
      model.tool = null;
      model.commit("calibrate.did.slot", { ...model.state, draft: null, loose: [...model.state.loose, slot] });
      model.select({ keys: [slot.key] });
      return;
    }
    const above = tool === "row" ? this.model.above : null;
    const last = above?.rows[above.rows.length - 1];
    const counts = last ? { ...this.counts, rows: 1, columns: last.cells.length } : this.counts;
    const { state, key } = edits.addBay(model.state, quad, counts);
    model.tool = null;
    model.commit(tool === "row" ? "calibrate.did.row" : "calibrate.did.bay", state);
    model.step = 2;
    model.select({ bay: key });
    this.page.drawn();
  }

  /** @param {string|null} key of a slot @param {boolean} add */
  pick(key, add) {
    const { model } = this;
    if (!key) { model.select({}); return; }
    const { keys } = model.selection;
    const next = !add ? [key] : keys.includes(key) ? keys.filter((one) => one !== key) : [...keys, key];
    const bays = new Set(model.slots.filter((slot) => next.includes(slot.key)).map((slot) => slot.bay?.key ?? null));
    const last = model.slots.find((slot) => slot.key === key);
    const [bay] = bays;
    model.select({ keys: next, bay: bays.size === 1 ? bay : null, r: bays.size === 1 ? last?.r : -1 });
  }

  /** @param {NonNullable<Target>} target taken hold of: the arrow keys go on with it */
  hold(target) {
    const { model } = this;
    const { kind, key } = target;
    if (kind === "divider" || kind === "rail") model.select({ bay: key, r: target.r, [kind]: target.i });
    else if (kind === "corner" || kind === "loose") model.select({ ...model.selection, ...NO_PART, corner: target.i });
  }

  /** @param {NonNullable<Target>} target */
  twice(target) {
    if (target.kind !== "divider") return;
    const { key, r, i } = target;
    this.model.commit("calibrate.did.unpin", edits.changeRow(this.model.state, key, r, (row) => ({
      ...row, dividers: spread(row.dividers.map((d, k) => (k === i ? { ...d, pinned: false, guessed: false } : d))),
    })));
  }

  /** @param {Partial<Counts>} counts of the bay under edit, or of the next one */
  setCounts(counts) {
    this.#remember(counts);
    const { bay, state } = this.model;
    if (!bay) { this.model.changed(); return; }
    const burst = `counts:${bay.key}`;
    const before = this.model.before(burst);
    this.#counted = before ? { ...this.#counted, ...counts } : counts;
    const { rows = bay.rows.length, columns = null } = this.#counted;
    this.model.commit("calibrate.did.counts",
      edits.setCounts(before ?? state, bay.key, { rows, columns, gap: this.counts.gap }), burst);
  }

  /** @param {number} r @param {number} columns */
  setRowColumns(r, columns) {
    const { bay } = this.model;
    if (!bay) return;
    const burst = `columns:${bay.key}:${r}`;
    const state = edits.setRowColumns(this.model.before(burst) ?? this.model.state, bay.key, r, held(columns, 1, MOST_COLUMNS));
    this.model.commit("calibrate.did.counts", state, burst);
  }

  /** @param {number} gap share of the bay's height */
  setGap(gap) {
    this.counts = { ...this.counts, gap };
    const { bay } = this.model;
    if (bay) this.model.commit("calibrate.did.gap", edits.setGap(this.model.state, bay.key, gap), `gap:${bay.key}`);
  }

  equalise() {
    const bay = this.bayInHand();
    if (bay) this.model.commit("calibrate.did.equal", edits.equalise(this.model.state, bay.key, this.model.selection.r));
  }

  /** The bay under edit, or the only one. */
  bayInHand() {
    const { bays } = this.model.state;
    const bay = this.model.bay ?? (bays.length === 1 ? bays[0] : null);
    if (!bay) this.page.say(t("calibrate.choose_bay"));
    return bay;
  }

  suggest() { return suggest(this); }

  split() {
    const slots = this.model.selected;
    if (!slots.length) { this.page.say(t("calibrate.choose_slot")); return; }
    const state = slots.reduceRight((now, slot) => edits.split(now, slot), this.model.state);
    this.model.commit("calibrate.did.split", state);
  }

  merge() {
    const { model } = this;
    const slots = this.#besideDivider() ?? model.selected;
    if (slots.length < 2) { this.page.say(t("calibrate.choose_two")); return; }
    const state = edits.merge(model.state, slots);
    if (!state) { this.page.say(t("calibrate.not_convex"), true); return; }
    model.commit("calibrate.did.merge", state);
    this.pick(slots[0].key, false);
  }

  #besideDivider() {
    const { bay, r, divider } = this.model.selection;
    if (divider < 0) return null;
    return this.model.slots.filter((slot) => slot.bay?.key === bay && slot.r === r &&
      (slot.c === divider || slot.c === divider + 1));
  }

  /** Slots that reach beyond the picture end at its edge; what hardly shows is dropped. */
  clip() {
    const { model } = this;
    model.commit("calibrate.did.clip", clipped(model.state, model.slots, model.frame));
  }

  duplicate() {
    const { model } = this;
    if (!model.selected.length) { this.page.say(t("calibrate.choose_slot")); return; }
    const { state, keys } = edits.duplicate(model.state, model.selected, model.frame);
    model.commit("calibrate.did.duplicate", state);
    model.select({ keys });
  }

  /** A quarter further: what was their right side is their top. */
  turn() {
    const { model } = this;
    const loose = model.selected.filter((slot) => !slot.bay);
    const bay = loose.length ? null : this.bayInHand();
    if (!loose.length && !bay) return;
    model.commit("calibrate.did.turn", edits.turned(model.state, bay?.key ?? null, new Set(loose.map(({ key }) => key))));
    this.page.say(t("calibrate.turned"));
  }

  remove() {
    const { model } = this;
    if (model.selection.divider >= 0) { this.merge(); return; }
    const slots = model.selected.length || model.selection.rail >= 0 ? model.selected
      : model.slots.filter((slot) => slot.bay && slot.bay === model.bay);
    if (!slots.length) { this.page.say(t("calibrate.choose_slot")); return; }
    model.commit(slots.length > 1 ? "calibrate.did.remove_many" : "calibrate.did.remove", edits.remove(model.state, slots));
    model.select({});
  }

  /** Arrow keys. @param {number} dx @param {number} dy in pixels of the picture @param {Target} [target] */
  nudge(dx, dy, target = inHand(this.model)) {
    const { model } = this;
    const { selection } = model;
    const [only] = model.selected;
    const [x, y] = target ? across(target, model, [dx, dy]) : [0, 0];
    if (!target || (!x && !y)) return;
    const drag = dragOf(model, target, "a" in target ? middleOf(target) : [0, 0]);
    const state = drag?.to([drag.origin[0] + x, drag.origin[1] + y]);
    if (!drag || !state) return;
    const end = "end" in target ? target.end : "";
    model.commit(drag.label, state, JSON.stringify(["nudge", target.kind, target.key, end, selection]));
    if (only && only.bay && target.kind === "move") this.pick(only.key, false);
  }

  /**
   * The next or previous line of the bay under edit, in reading order, is in hand.
   * @param {1|-1} way @param {"rail"} [kind] only of these
   */
  stepLine(way, kind) {
    const { model } = this;
    const bay = this.bayInHand();
    if (!bay) return;
    if (!showsLines(model)) this.goTo(LINES_UNTIL);
    const lines = linesOf(bay).filter((line) => !kind || line.kind === kind);
    if (!lines.length) return;
    const row = Math.max(0, model.selection.r);
    const at = model.bay === bay ? lines.findIndex((line) => isHeld(model.selection, line)) : -1;
    const near = way > 0 ? lines.findIndex(({ r }) => r >= row) : lines.findLastIndex(({ r }) => r <= row);
    const next = at < 0 ? near : (at + way) % lines.length;
    this.hold(/** @type {NonNullable<Target>} */ (lines.at(next)));
  }

  undo() { this.#went(this.model.undo(), "calibrate.undone", "calibrate.nothing_to_undo"); }
  redo() { this.#went(this.model.redo(), "calibrate.redone", "calibrate.nothing_to_redo"); }

  /** @param {string|null} label @param {string} done @param {string} nothing */
  #went(label, done, nothing) {
    this.page.say(label ? t(done, { what: t(label) }) : t(nothing));
  }

  /** Take back: the shape being drawn, then the tool, then the selection. */
  escape() {
    const { model } = this;
    if (model.state.draft) model.commit("calibrate.did.cancel", { ...model.state, draft: null });
    else if (model.tool) this.arm(null);
    else if (Object.keys(NO_PART).some((part) => model.selection[/** @type {keyof NO_PART} */ (part)] >= 0)) {
      model.select({ ...model.selection, ...NO_PART });
    } else model.select({});
  }
}

/** @param {number} value @param {number} low @param {number} high */
function held(value, low, high) {
  return Math.min(high, Math.max(low, Math.round(value) || low));
}
