// After the camera was moved: where the slots lie in the new picture, shown over both pictures,
// for a person to confirm. By hand where the program cannot tell.

import { h, set, setText } from "../lib/dom.js";
import { number, t } from "../lib/i18n.js";
import { ApiError, send } from "../lib/net.js";
import { between, compose, IDENTITY, inFractions, inPixels, invert, movement } from "../geom/homography.js";
import { bounds, centre, distance, isConvex } from "../geom/quad.js";
import { reasonOf } from "./judged.js";
import { mapOf, mapped } from "./state.js";

/** @typedef {import("./main.js").App} App */
/** @typedef {import("../geom/homography.js").Point} Point */
/** @typedef {import("../geom/homography.js").Quad} Quad */
/** @typedef {import("../geom/homography.js").Matrix} Matrix */

const MOVED = 0.006; // of the picture's width: a slot that went so far is worth telling
const BLINK_MS = 600;

export class Realign {
  active = false;
  /** Of the old picture to the new one, in pixels; what is drawn may have gone a part of it already. @type {Matrix|null} */
  #map = null;
  /** Aligning by hand: four points of the old picture, and where they were dragged. */
  /** @type {Quad|null} */ #from = null;
  /** @type {Point[]|null} */ anchors = null;
  /** @type {{anchors: Point[], map: Matrix|null}} */ #begun = { anchors: [], map: null };
  #blink = 0;
  #asked = 0;

  /**
   * @param {App} app
   * @param {HTMLImageElement} old the reference picture, over the new one
   */
  constructor(app, old) {
    this.app = app;
    this.old = old;
    this.numbers = h("p", { class: "realign__numbers", role: "status" });
    this.swipe = h("input", { type: "range", min: 0, max: 100, value: 50, class: "realign__swipe",
      "aria-label": t("calibrate.swipe"), oninput: () => this.#wipe() });
    this.blink = h("button", { type: "button", class: "toggle", "aria-pressed": "false", onclick: () => this.#toggleBlink() }, t("calibrate.blink"));
    this.apply = h("button", { type: "button", class: "button button--primary", onclick: () => this.accept() }, t("calibrate.realign_apply"));
    const button = (/** @type {string} */ key, /** @type {() => void} */ act) =>
      h("button", { type: "button", class: "button", onclick: act }, t(key));
    this.element = h("section", { class: "realign", "aria-label": t("calibrate.realign"), hidden: true },
      h("h2", null, t("calibrate.realign")), this.numbers,
      h("div", { class: "realign__look" }, h("span", { class: "small muted" }, t("calibrate.before")), this.swipe,
        h("span", { class: "small muted" }, t("calibrate.after")), this.blink),
      h("div", { class: "tools tools--wrap" }, this.apply, button("calibrate.realign_again", () => this.again()),
        button("calibrate.realign_hand", () => this.byHand()), button("calibrate.cancel", () => this.stop())));
    app.stage.listen(() => { if (this.active) app.stage.align(old); });
  }

  /** Quiet: say so only where the slots seem to lie elsewhere now. */
  async look() {
    const found = await this.#ask().catch(() => null);
    if (found?.accepted && this.#farthest(this.#inPixels(found)) > MOVED) this.#show(found);
  }

  /** @param {any} found @returns {Matrix} */
  #inPixels({ homography }) {
    const { width, height } = this.app.model.frame;
    return inPixels(homography, width, height);
  }

  /** What is left of a map for the slots as they are drawn now. @param {Matrix} map @returns {Matrix} */
  #left(map) { return compose(map, invert(this.#moved)); }

  /** What was applied since the reference picture, in pixels. */
  get #moved() {
    const { bench, model: { frame: { width, height } } } = this.app;
    return inPixels([bench.moved], width, height);
  }

  /** How far a slot went, as a share of the picture's width: a turn leaves the middle where it was. */
  #farthest(/** @type {Matrix} */ found) {
    const { slots, frame: { width } } = this.app.model;
    const map = mapOf(this.#left(found));
    return Math.max(...slots.map(({ quad }) => distance(centre(quad), centre(map(quad))))) / width;
  }

  /** Take a new picture and align anew. */
  async again() {
    if (await this.app.retake()) await this.start();
  }

  async start() {
    const { bench } = this.app;
    if (!bench.plan?.reference) { this.app.say(t("calibrate.no_reference")); return; }
    try {
      const found = await this.#ask();
      if (found) this.#show(found);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.app.say(t("calibrate.realign_failed", { why: reasonOf(error) }), true);
    }
  }

  /** Null where another question, or what was done meanwhile, has made the answer worthless. */
  async #ask() {
    const { bench } = this.app;
    const mine = ++this.#asked;
    const found = await send("POST", bench.url("/align"), { token: bench.picture?.token }, { timeoutMs: 15000 });
    return mine === this.#asked ? found : null;
  }

  /** @param {any} found */
  #show(found) {
    const { bench, stage } = this.app;
    this.#map = found.accepted ? this.#inPixels(found) : null;
    this.anchors = null;
    this.active = true;
    if (this.#map) setText(this.numbers, this.#told(this.#left(this.#map), found.inliers));
    const { url } = /** @type {{url: string}} */ (bench.plan?.reference);
    if (this.old.getAttribute("src") !== url) this.old.src = url;
    stage.align(this.old);
    this.#wipe();
    this.#update();
    if (this.#map) this.apply.focus();
    else this.byHand(t("calibrate.realign_refused", { why: reasonOf({ code: found.reason, message: found.message }) }));
  }

  /** @param {Matrix} map @param {number} inliers */
  #told(map, inliers) {
    const { width, height } = this.app.model.frame;
    const { moved, turned, scale } = movement(map, width, height);
    return t("calibrate.realign_numbers", { moved: number(moved * 100, 1),
      turned: number(turned, 1), scale: number(scale * 100, 1), inliers });
  }

  /**
   * Four points around everything drawn, to be dragged onto the same things in the new picture.
   * @param {string} [because]
   */
  byHand(because) {
    const { model } = this.app;
    const points = model.slots.flatMap((slot) => slot.quad);
    if (!points.length) return;
    const box = bounds(points);
    const [bay] = model.state.bays;
    /** @type {Quad} */
    const around = bay && model.state.bays.length === 1 && !model.state.loose.length ? bay.quad
      : [[box.left, box.top], [box.right, box.top], [box.right, box.bottom], [box.left, box.bottom]];
    this.#from = mapOf(invert(this.#moved))(around);
    const map = this.#map ? mapOf(this.#left(this.#map)) : null;
    this.anchors = map ? map(around) : around.map((point) => /** @type {Point} */ ([...point]));
    this.#begun = { anchors: this.anchors, map: this.#map };
    setText(this.numbers, [because, t("calibrate.realign_by_hand")].filter(Boolean).join(". "));
    this.#update();
  }

  /** @param {number} i @param {Point} to */
  moveAnchor(i, to) {
    if (!this.anchors || !this.#from) return;
    const next = /** @type {Quad} */ (this.anchors.map((point, k) => (k === i ? to : point)));
    if (!isConvex(next)) return;
    this.anchors = next;
    const asBegun = next.every((point, k) => distance(point, this.#begun.anchors[k]) === 0);
    this.#map = asBegun ? this.#begun.map : between(this.#from, next);
    this.#update();
  }

  /** @returns {{from: Quad, to: Quad}[]} */
  get ghosts() {
    if (!this.active) return [];
    const map = mapOf(this.#map ? this.#left(this.#map) : IDENTITY);
    return this.app.model.slots.map((slot) => ({ from: slot.quad, to: map(slot.quad) }));
  }

  accept() {
    const { model } = this.app;
    if (!this.#map) return;
    const { width, height } = model.frame;
    const map = this.#left(this.#map);
    this.stop();
    const moved = compose(inFractions(map, width, height), model.state.moved);
    model.commit("calibrate.did.realign", mapped({ ...model.state, draft: null, moved }, mapOf(map)));
    this.app.say(t("calibrate.realigned"));
  }

  /** Something waits for the answer. */
  remind() { /** @type {HTMLElement|null} */ (this.element.querySelector(".tools button:enabled"))?.focus(); }

  stop() {
    this.#asked += 1;
    this.active = false;
    this.anchors = null;
    this.#map = null;
    if (this.#blink) this.#toggleBlink();
    this.#update();
  }

  #update() {
    this.element.hidden = !this.active;
    this.old.hidden = !this.active;
    this.apply.disabled = !this.#map;
    this.app.model.changed();
  }

  /** The old picture to the left of the slider, the new one to its right. */
  #wipe() { this.old.style.clipPath = `inset(0 ${100 - Number(this.swipe.value)}% 0 0)`; }

  #toggleBlink() {
    const on = !this.#blink;
    clearInterval(this.#blink);
    this.#blink = 0;
    set(this.blink, "aria-pressed", String(on));
    if (!on) { this.#wipe(); return; }
    let old = true;
    this.#blink = setInterval(() => {
      this.old.style.clipPath = old ? "none" : "inset(0 100% 0 0)";
      old = !old;
    }, BLINK_MS);
  }
}
