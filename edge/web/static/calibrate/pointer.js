// The gestures of pointers on the stage: one tap, one drag, one pan, or two fingers. A second
// finger cancels what the first began, and so does losing the pointer: nothing is left behind.

import { distance } from "../geom/quad.js";
import { dragOf } from "./drags.js";
import { hand, SNAP, snapped, snapTargets, targetAt, targetName } from "./hits.js";

/** @typedef {import("../geom/homography.js").Point} Point */
/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./stage.js").Stage} Stage */
/** @typedef {import("./drags.js").Drag} Drag */
/** @typedef {import("./hits.js").Target} Target */
/**
 * @typedef {object} Press what one pointer is doing
 * @property {number} id
 * @property {Point} from where it went down, in the window
 * @property {Point} last
 * @property {number} at when, in ms
 * @property {number} moved at the latest move, in ms
 * @property {"mouse"|"touch"} hand
 * @property {Target} target
 * @property {"press"|"drag"|"pan"|"diagonal"|"aim"} mode
 * @property {Drag|null} drag
 * @property {Point} place of the dragged point
 * @property {import("./hits.js").SnapTargets|null} snaps
 * @property {boolean} add to what is selected
 * @property {number} [still] timer of a finger that rests
 */
/**
 * @typedef {object} Hands what the gestures ask of the page
 * @property {Model} model
 * @property {Stage} stage
 * @property {() => Point[]|null} anchors of aligning by hand
 * @property {(i: number, to: Point) => void} moveAnchor
 * @property {(point: Point) => void} tap with a tool
 * @property {(a: Point, b: Point, done: boolean) => void} diagonal
 * @property {(key: string|null, add: boolean) => void} pick
 * @property {(target: NonNullable<Target>) => void} hold a handle or line is taken hold of
 * @property {(target: NonNullable<Target>) => void} twice
 * @property {(seen: import("./loupe.js").Seen|null) => void} look through the loupe
 * @property {(hover: {point: Point, target: Target}|null) => void} hover
 */

const TAP_PX = 8, TAP_MS = 350, TWICE_MS = 400;
const SLOW = 0.35, SLOW_PX_S = 60; // a finger this slow is aiming
const FINE = 0.1; // Shift with a mouse

export class Pointer {
  /** @type {Press|null} */ #press = null;
  /** @type {Map<number, Point>} */ #down = new Map();
  /** @type {{target: string, at: number}} */ #tapped = { target: "", at: 0 };
  #space = false;

  /** @param {Hands} hands */
  constructor(hands) {
    this.hands = hands;
    const { element } = hands.stage;
    element.addEventListener("pointerdown", (event) => this.#begin(event));
    element.addEventListener("pointermove", (event) => this.#move(event));
    element.addEventListener("pointerup", (event) => this.#end(event));
    element.addEventListener("pointercancel", (event) => this.#lost(event));
    element.addEventListener("pointerleave", () => { if (!this.#press) hands.hover(null); });
    element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    addEventListener("blur", () => this.cancel());
    addEventListener("keydown", (event) => { if (event.code === "Space") this.#space = true; });
    addEventListener("keyup", (event) => { if (event.code === "Space") this.#space = false; });
  }

  /** Take back the gesture under way. @returns {boolean} whether there was one */
  cancel() {
    const press = this.#press;
    this.#press = null;
    this.#space = false;
    clearTimeout(press?.still);
    if (!press) return false;
    this.hands.look(null);
    this.hands.model.cancel();
    if (press.mode === "drag" && press.target?.kind === "anchor") this.hands.moveAnchor(press.target.i, press.target.at);
    return press.mode !== "press";
  }

  /** @param {PointerEvent} event */
  #begin(event) {
    if (/** @type {Element} */ (event.target).closest("button, a, input, dialog") ||
        this.hands.stage.element.dataset.bare === "true") return;
    this.#down.set(event.pointerId, [event.clientX, event.clientY]);
    try {
      this.hands.stage.element.setPointerCapture(event.pointerId);
    } catch {
      this.#down.delete(event.pointerId); // it was lifted before we heard of it
      return;
    }
    if (this.#down.size > 1) { this.cancel(); return; }
    if (event.button > 1) return;
    const { model, stage, anchors } = this.hands;
    const from = /** @type {Point} */ ([event.clientX, event.clientY]);
    const point = stage.toPicture(from);
    const pan = event.button === 1 || this.#space;
    const pointer = hand(event.pointerType);
    const target = pan ? null : targetAt(model, point, stage.scale, pointer, anchors());
    this.#press = {
      id: event.pointerId, from, last: from, at: event.timeStamp, moved: event.timeStamp,
      hand: pointer, target, mode: pan ? "pan" : "press", drag: null, place: point, snaps: null,
      add: event.shiftKey || event.ctrlKey || event.metaKey,
    };
    if (pointer === "touch" && (model.tool ? !target : target?.kind === "slot")) {
      const { pointerId } = event;
      this.#press.still = setTimeout(() => this.#rest(pointerId), TAP_MS);
    }
    event.preventDefault();
    stage.element.dataset.by = "pointer"; // no focus ring until the keyboard is used
    stage.element.focus({ preventScroll: true });
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const at = /** @type {Point} */ ([event.clientX, event.clientY]);
    if (this.#down.size === 2 && this.#down.has(event.pointerId)) { this.#pinch(event.pointerId, at); return; }
    if (this.#down.has(event.pointerId)) this.#down.set(event.pointerId, at);
    const press = this.#press;
    if (!press) { if (event.pointerType === "mouse" && !this.#down.size) this.#hover(at); return; }
    if (press.id !== event.pointerId) return;
    if (press.mode === "press") {
      if (distance(at, press.from) < TAP_PX) return;
      this.#choose(press, at);
    }
    const dx = at[0] - press.last[0], dy = at[1] - press.last[1];
    if (press.mode === "pan") this.hands.stage.pan(dx, dy);
    else if (press.mode === "diagonal") this.#diagonal(press, at, false);
    else this.#drag(press, event, dx, dy);
    press.last = at;
    press.moved = event.timeStamp;
  }

  /** What a press has become, now that it moves. @param {Press} press @param {Point} at */
  #choose(press, at) {
    const { model, stage } = this.hands;
    const { target } = press;
    if (target?.kind === "anchor") press.mode = "drag";
    else if (target && target.kind !== "slot") {
      press.drag = dragOf(model, target, stage.toPicture(press.from));
      press.mode = press.drag ? "drag" : "pan";
      this.hands.hold(target);
    } else if (model.tool && !stage.zoomed) press.mode = this.#started() ? "aim" : "diagonal";
    else press.mode = "pan";
    if (press.drag) {
      press.place = press.drag.origin;
      press.snaps = snapTargets(model, press.drag.moving, press.drag.bay);
    } else if (press.mode === "aim") press.snaps = snapTargets(model, new Set());
    else if (target?.kind === "anchor") press.place = target.at;
    if (press.mode === "drag" || press.mode === "aim") {
      press.last = press.hand === "touch" || press.mode === "aim" ? at : press.from;
      if (press.mode === "aim") press.place = stage.toPicture(at);
    }
  }

  /**
   * A finger that rests on a slot adds it to those selected; with a tool it aims, and the point is
   * set where the finger is lifted.
   * @param {number} id
   */
  #rest(id) {
    const press = this.#press;
    if (press?.id !== id || press.mode !== "press") return;
    const { model, stage } = this.hands;
    if (press.target?.kind === "slot") {
      this.#press = null;
      this.hands.pick(press.target.key, true);
      return;
    }
    press.mode = "aim";
    press.place = stage.toPicture(press.last);
    press.snaps = snapTargets(model, new Set());
    this.hands.look({ point: press.place, arms: [], snap: null, window: press.last, lens: true, out: false });
  }

  #started() {
    const { model } = this.hands;
    return model.tool === "row" || Boolean(model.state.draft?.points.length);
  }

  /** @param {Press} press @param {PointerEvent} event @param {number} dx @param {number} dy */
  #drag(press, event, dx, dy) {
    const { model, stage } = this.hands;
    const seconds = Math.max(0.001, (event.timeStamp - press.moved) / 1000);
    const slow = press.hand === "touch" && Math.hypot(dx, dy) / seconds < SLOW_PX_S;
    const factor = press.hand === "mouse" ? (event.shiftKey ? FINE : 1) : slow ? SLOW : 1;
    press.place = [press.place[0] + (dx * factor) / stage.scale, press.place[1] + (dy * factor) / stage.scale];
    const { target, drag } = press;
    const precise = press.mode === "aim" || target?.kind === "anchor" || drag?.precise;
    const kept = precise ? stage.inside(press.place) : press.place;
    const snap = precise && press.snaps && model.snap && !event.altKey
      ? snapped(kept, press.snaps, SNAP / stage.scale) : null;
    const point = snap?.at ?? kept;
    if (target?.kind === "anchor") this.hands.moveAnchor(target.i, point);
    else if (drag) {
      const next = drag.to(point);
      if (next) model.preview(next);
    }
    const arms = target?.kind === "anchor" ? [] : drag?.arms ?? model.state.draft?.points.slice(-1) ?? [];
    const shown = precise && (press.hand === "touch" || event.altKey || stage.scale * devicePixelRatio < 2);
    this.hands.look({ point, arms, snap, window: [event.clientX, event.clientY], lens: Boolean(shown),
      out: kept !== press.place && distance(kept, press.place) * stage.scale > 1 });
  }

  /** @param {Press} press @param {Point} to @param {boolean} done */
  #diagonal(press, to, done) {
    const { stage, diagonal } = this.hands;
    diagonal(stage.inside(stage.toPicture(press.from)), stage.inside(stage.toPicture(to)), done);
  }

  /** @param {PointerEvent} event */
  #end(event) {
    this.#down.delete(event.pointerId);
    const press = this.#press;
    if (!press || press.id !== event.pointerId) return;
    this.#press = null;
    clearTimeout(press.still);
    const { model, stage } = this.hands;
    const at = /** @type {Point} */ ([event.clientX, event.clientY]);
    if (press.mode === "press") this.#tap(press, event.timeStamp);
    else if (press.mode === "diagonal") this.#diagonal(press, at, true);
    else if (press.mode === "aim") this.#aimed(press, event);
    else if (press.drag) model.commit(press.drag.label);
    this.hands.look(null);
    if (event.pointerType === "mouse" && stage.element.isConnected) this.#hover(at);
  }

  /** @param {Press} press @param {PointerEvent} event */
  #aimed(press, event) {
    const { model, stage, tap } = this.hands;
    const kept = stage.inside(press.place);
    const snap = press.snaps && model.snap && !event.altKey
      ? snapped(kept, press.snaps, SNAP / stage.scale) : null;
    tap(snap?.at ?? kept);
  }

  /** @param {Press} press @param {number} now */
  #tap(press, now) {
    if (now - press.at > TAP_MS && press.hand === "touch") return;
    const { hands } = this;
    const { model, stage } = hands;
    const { target } = press;
    if (target && target.kind !== "slot") {
      const name = targetName(target);
      if (this.#tapped.target === name && now - this.#tapped.at < TWICE_MS) hands.twice(target);
      else hands.hold(target);
      this.#tapped = { target: name, at: now };
      return;
    }
    if (hands.anchors()) return;
    if (model.tool) {
      hands.tap(stage.inside(stage.toPicture(press.from)));
      return;
    }
    hands.pick(target ? target.key : null, press.add);
  }

  /** @param {PointerEvent} event */
  #lost(event) {
    this.#down.delete(event.pointerId);
    if (this.#press?.id === event.pointerId) this.cancel();
  }

  /** @param {Point} at in the window */
  #hover(at) {
    const { model, stage, anchors, hover } = this.hands;
    const point = stage.toPicture(at);
    hover({ point, target: targetAt(model, point, stage.scale, "mouse", anchors()) });
  }

  /** Two fingers zoom about their middle and pan with it. @param {number} id @param {Point} at */
  #pinch(id, at) {
    const { stage } = this.hands;
    const still = [...this.#down].find(([other]) => other !== id)?.[1];
    const before = this.#down.get(id);
    this.#down.set(id, at);
    if (!still || !before) return;
    const middle = (/** @type {Point} */ p) => /** @type {Point} */ ([(p[0] + still[0]) / 2, (p[1] + still[1]) / 2]);
    const old = middle(before), now = middle(at);
    stage.zoom(distance(at, still) / Math.max(1, distance(before, still)), old);
    stage.pan(now[0] - old[0], now[1] - old[1]);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1;
    this.hands.stage.zoom(Math.exp((-event.deltaY * lines) / (event.ctrlKey ? 100 : 400)),
      [event.clientX, event.clientY]);
  }
}
