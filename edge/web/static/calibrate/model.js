// The state, its history and what is selected. Every committed change is one entry that undo
// names; a gesture in progress only previews and leaves no trace when it is cancelled.

import { emptyState, labelProblems, slotsOf } from "./state.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./state.js").Slot} Slot */
/** @typedef {import("./state.js").Tool} Tool */
/** @typedef {import("./state.js").Frame} Frame */
/**
 * @typedef {object} Selection
 * @property {string[]} keys slots
 * @property {string|null} bay the bay under edit
 * @property {number} r its row, -1 = all
 * @property {number} divider its divider in that row, -1 = none
 * @property {number} rail that row's edge: 0 its top, 1 its bottom, -1 = none
 * @property {number} corner of the bay or of the only slot, -1 = none
 */
/** @typedef {{label: string, before: State, after: State, burst: string, at: number}} Entry */

/** Of what is selected no part is in hand. */
export const NO_PART = { divider: -1, rail: -1, corner: -1 };
/** @type {Selection} */
export const NOTHING = { keys: [], bay: null, r: -1, ...NO_PART };
const BURST_MS = 1500; // typing with shorter pauses is one entry
const MOST_ENTRIES = 500;

export class Model {
  /** @type {Frame} */
  frame = { camera: "", width: 1, height: 1, otherIds: new Set() };
  /** @type {State} */
  state = emptyState([], "");
  /** @type {Selection} */
  selection = NOTHING;
  /** @type {Tool|null} */
  tool = null;
  step = 1;
  snap = true;
  keepEqual = false;

  /** @type {Entry[]} */ #done = [];
  /** @type {Entry[]} */ #undone = [];
  /** @type {State} */ #committed = this.state;
  /** @type {Set<() => void>} */ #listeners = new Set();
  /** @type {{state: State, frame: Frame, slots: Slot[], problems: Map<string, string>}|null} */ #memo = null;

  /** @param {() => void} listener called after anything changed */
  listen(listener) { this.#listeners.add(listener); }

  changed() { for (const listener of this.#listeners) listener(); }

  /** @returns {Slot[]} as they would be saved, in reading order */
  get slots() { return this.#derived().slots; }

  /** What is wrong with slots' ids and names, by slot key. */
  get problems() { return this.#derived().problems; }

  #derived() {
    if (this.#memo?.state !== this.state || this.#memo.frame !== this.frame) {
      const slots = slotsOf(this.state, this.frame);
      this.#memo = { state: this.state, frame: this.frame, slots, problems: labelProblems(slots, this.frame) };
    }
    return this.#memo;
  }

  /** The state without a gesture that is still under way. */
  get committed() { return this.#committed; }

  /**
   * Begin anew, without a history.
   * @param {State} state
   * @param {Frame} [frame]
   */
  reset(state, frame = this.frame) {
    this.frame = frame;
    this.#done = [];
    this.#undone = [];
    this.#set(state);
    this.selection = NOTHING;
    this.tool = null;
    this.changed();
  }

  /** Other ids are taken now. @param {Frame} frame of the same picture */
  reframe(frame) {
    this.frame = frame;
    this.changed();
  }

  /** @param {State} state of a gesture that may still be cancelled */
  preview(state) {
    this.state = state;
    this.changed();
  }

  cancel() {
    this.state = this.#committed;
    this.changed();
  }

  /**
   * @param {string} label what undo will name
   * @param {State} [state] by default what is previewed
   * @param {string} [burst] commits of the same burst shortly after each other are one entry
   */
  commit(label, state = this.state, burst = "") {
    const before = this.#committed;
    this.#set(state);
    if (before !== state) {
      const last = this.#done[this.#done.length - 1], at = Date.now();
      if (burst && last?.burst === burst && at - last.at < BURST_MS) {
        this.#done[this.#done.length - 1] = { ...last, after: state, at };
      } else {
        this.#done.push({ label, before, after: state, burst, at });
        if (this.#done.length > MOST_ENTRIES) this.#done.shift();
      }
      this.#undone = [];
    }
    this.changed();
  }

  /**
   * What a burst began with, so that "1" on the way to "12" costs no names.
   * @param {string} burst
   * @returns {State|null} null where none is under way
   */
  before(burst) {
    const last = this.#done[this.#done.length - 1];
    return last?.burst === burst && Date.now() - last.at < BURST_MS ? last.before : null;
  }

  /**
   * A change that is no step of its own, such as the ids that saving makes final.
   * @param {State} state
   */
  settle(state) {
    const last = this.#done[this.#done.length - 1];
    if (last) this.#done[this.#done.length - 1] = { ...last, after: state };
    this.#set(state);
    this.changed();
  }

  get canUndo() { return this.#done.length > 0; }
  get canRedo() { return this.#undone.length > 0; }

  /** @returns {string|null} what was taken back */
  undo() {
    const entry = this.#done.pop();
    if (!entry) return null;
    this.#undone.push(entry);
    return this.#go(entry.before, entry);
  }

  /** @returns {string|null} what was done again */
  redo() {
    const entry = this.#undone.pop();
    if (!entry) return null;
    this.#done.push(entry);
    return this.#go(entry.after, entry);
  }

  /** @param {Partial<Selection>} selection the rest is not selected */
  select(selection) {
    this.selection = { ...NOTHING, ...selection };
    this.changed();
  }

  /** @returns {import("./state.js").Bay|null} the bay under edit */
  get bay() { return this.state.bays.find((bay) => bay.key === this.selection.bay) ?? null; }

  /** The bay that a next row hangs under. */
  get above() { return this.bay ?? this.state.bays[this.state.bays.length - 1] ?? null; }

  /** @returns {Slot[]} */
  get selected() {
    const keys = new Set(this.selection.keys);
    return this.slots.filter((slot) => keys.has(slot.key));
  }

  /**
   * @param {State} state
   * @param {Entry} entry
   */
  #go(state, entry) {
    this.#set(state);
    const alive = new Set(this.slots.map((slot) => slot.key));
    const { keys, bay } = this.selection;
    const kept = this.state.bays.some(({ key }) => key === bay);
    this.selection = { ...NOTHING, keys: keys.filter((key) => alive.has(key)), bay: kept ? bay : null };
    if (state.draft) this.tool = state.draft.tool;
    this.changed();
    return entry.label;
  }

  /** @param {State} state */
  #set(state) {
    this.state = state;
    this.#committed = state;
  }
}
