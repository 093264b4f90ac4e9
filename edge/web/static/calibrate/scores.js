// What the model says of each slot while it is drawn. Asked 150 ms after the last change, one
// request at a time, only for slots that changed; a newer drawing's answer wins.

import { ApiError, send } from "../lib/net.js";
import { overlapping, shapeWarnings, shareInside } from "../geom/quad.js";
import { fractions, scaled } from "./state.js";
import { judged } from "./judged.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./bench.js").Bench} Bench */
/** @typedef {{quad: string, p: number, url: string, width: number, height: number, sharpness: number}} Score */

const WAIT_MS = 150, AGAIN_MS = 2000, ANSWER_MS = 20000;
const MOST = 64; // slots in one request
// Of the median sharpness of the picture's slots: passed by 99 of 100 sharp ones, by 1 of 100 blurred ones.
const BLURRED = 0.2;
const MOST_HIDDEN = 0.1; // of a slot may be blacked out; edge check warns from there on, too
const UNUSABLE = new Set(["twisted", "outside"]); // warnings of what is no slot: nothing to score or save

export class Scores {
  /** By slot key; of the quad that was asked, which may be an older one. @type {Map<string, Score>} */
  known = new Map();
  /** @type {Map<string, string[]>} */
  warnings = new Map();
  /** Slots whose score is on its way. */
  waiting = 0;
  /** Why the newest request had no answer; null: it had. @type {ApiError|null} */ failed = null;
  /** Of which picture the daemon has said that it is gone. */
  #gone = "";
  #timer = 0;
  #busy = false;
  #median = 0;
  /** Of the newest answer, by which all are judged. @type {import("./judged.js").Rule|null} */ #rule = null;
  /** @type {Map<string, string>} */ #refused = new Map();

  /**
   * @param {Model} model
   * @param {Bench} bench
   * @param {() => void} changed
   * @param {() => void} gone the daemon has forgotten the picture: another one is needed
   */
  constructor(model, bench, changed, gone) {
    this.model = model;
    this.bench = bench;
    this.changed = changed;
    this.gone = gone;
  }

  /** Another picture: nothing of the old one counts. */
  clear() {
    for (const { url } of this.known.values()) URL.revokeObjectURL(url);
    this.known.clear();
    this.#refused.clear();
    this.failed = null;
    this.update();
  }

  /** After every change of the drawing. */
  update() {
    this.#judge();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), WAIT_MS);
  }

  /** @param {string} key of a slot @returns {import("./judged.js").Judged} what the daemon would take from its score */
  stateOf(key) {
    const score = this.known.get(key);
    return score && this.#rule ? judged(score.p, this.#rule) : "none";
  }

  /** @param {string} key of a slot @returns {boolean} whether it can be scored and saved */
  usable(key) {
    return !this.warnings.get(key)?.some((code) => UNUSABLE.has(code));
  }

  /** @returns {{key: string, quad: any, text: string}[]} what has changed since it was scored */
  #due() {
    const { model } = this;
    return model.slots
      .filter((slot) => this.usable(slot.key))
      .map((slot) => ({ key: slot.key, quad: fractions(slot.quad, model.frame) }))
      .map((asked) => ({ ...asked, text: JSON.stringify(asked.quad) }))
      .filter(({ key, text }) => this.known.get(key)?.quad !== text && this.#refused.get(key) !== text);
  }

  async #ask() {
    const token = this.bench.picture?.token;
    if (this.#busy || !token) return;
    const due = this.#due();
    this.waiting = due.length;
    if (!due.length) { this.failed = null; this.changed(); return; }
    this.#busy = true;
    let wait = 0;
    try {
      const asked = due.slice(0, MOST);
      const answer = await send("POST", this.bench.url("/score"),
        { token, slots: asked.map(({ key, quad }) => ({ key, quad })) }, { timeoutMs: ANSWER_MS });
      this.failed = null;
      if (token === this.bench.picture?.token) this.#take(answer, new Map(asked.map(({ key, text }) => [key, text])));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.failed = error;
      wait = AGAIN_MS;
      if (error.code === "picture_gone" && this.#gone !== token && token === this.bench.picture?.token) {
        this.#gone = token; // once: where none can be taken, that was said
        this.gone();
      }
    } finally {
      this.#busy = false;
    }
    this.waiting = this.#due().length;
    this.#judge();
    this.changed();
    if (this.waiting) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#ask(), wait);
    }
  }

  /** @param {any} answer @param {Map<string, string>} asked each slot's quad */
  #take({ slots, median_sharpness: median, empty_above: emptyAbove, stocked_below: stockedBelow }, asked) {
    this.#median = median ?? 0;
    this.#rule = { emptyAbove, stockedBelow };
    for (const { key, problem, p_empty: p, crop, width, height, sharpness } of slots) {
      const quad = asked.get(key) ?? "";
      if (problem) { this.#refused.set(key, quad); continue; }
      const old = this.known.get(key);
      if (old) URL.revokeObjectURL(old.url);
      this.known.set(key, { quad, p, url: blobUrl(crop), width, height, sharpness });
    }
  }

  #judge() {
    const { model } = this;
    const { slots } = model;
    /** @type {Map<string, string[]>} */
    const found = new Map(slots.map((slot) => [slot.key, shapeWarnings(slot.quad, model.frame)]));
    const whole = slots.filter((slot) => !found.get(slot.key)?.includes("twisted"));
    for (const pair of overlapping(whole.map((slot) => slot.quad))) {
      for (const index of pair) {
        const codes = found.get(whole[index].key);
        if (codes && !codes.includes("overlap")) codes.push("overlap");
      }
    }
    const black = (this.bench.plan?.blackout ?? []).map((quad) => scaled(quad, model.frame.width, model.frame.height));
    for (const { key, quad } of whole) {
      if (shareInside(quad, black) > MOST_HIDDEN) found.get(key)?.push("blackout");
    }
    for (const { key } of slots) {
      const score = this.known.get(key), codes = found.get(key);
      // an empty slot has nothing sharp in it, nor has a black one
      if (score && this.stateOf(key) !== "empty" && !codes?.includes("blackout") &&
          score.sharpness < this.#median * BLURRED) codes?.push("blurred");
    }
    this.warnings = found;
  }
}

/** @param {string} text base64 of a JPEG */
function blobUrl(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
}
