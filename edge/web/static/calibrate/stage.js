// The stage: a picture and a drawing on it, zoomed and panned together. Coordinates of the
// drawing are pixels of the picture; its viewBox is what of the picture can be seen.

import { set } from "../lib/dom.js";

/** @typedef {import("../geom/homography.js").Point} Point */

const MOST_ZOOM = 12; // CSS pixels per pixel of the picture
const MARGIN = 16; // CSS pixels around a picture that fits

export class Stage {
  /** CSS pixels per pixel of the picture. */
  scale = 1;
  width = 1;
  height = 1;
  #x = 0;
  #y = 0;
  #fitted = true;
  /** @type {Set<() => void>} */ #listeners = new Set();

  /**
   * @param {HTMLElement} element that takes the pointers
   * @param {HTMLImageElement} picture
   * @param {SVGSVGElement} drawing
   */
  constructor(element, picture, drawing) {
    this.element = element;
    this.picture = picture;
    this.drawing = drawing;
    new ResizeObserver(() => this.#resized()).observe(element);
  }

  /** @param {() => void} listener called after what is seen has changed */
  listen(listener) { this.#listeners.add(listener); }

  /** @param {number} width @param {number} height of the picture */
  setSize(width, height) {
    const same = width === this.width && height === this.height;
    this.width = width;
    this.height = height;
    if (!same) this.fit();
  }

  /** Zoomed in: there is something to pan to. */
  get zoomed() { return this.scale > this.#fitScale() * 1.02; }

  fit() {
    const { width, height } = this.#room();
    this.#fitted = true;
    this.scale = this.#fitScale();
    this.#x = (width - this.width * this.scale) / 2;
    this.#y = (height - this.height * this.scale) / 2;
    this.#show();
  }

  /**
   * @param {number} factor
   * @param {Point} [about] a point of the window that stays where it is; else the middle
   */
  zoom(factor, about = this.#middle()) {
    const before = this.toPicture(about);
    this.scale = Math.min(MOST_ZOOM, Math.max(this.#fitScale() * 0.9, this.scale * factor));
    const after = this.toWindow(before);
    this.#fitted = false;
    this.pan(about[0] - after[0], about[1] - after[1]);
  }

  /** @param {number} dx @param {number} dy CSS pixels */
  pan(dx, dy) {
    const { width, height } = this.#room();
    this.#fitted = this.#fitted && !dx && !dy;
    this.#x = held(this.#x + dx, width, this.width * this.scale);
    this.#y = held(this.#y + dy, height, this.height * this.scale);
    this.#show();
  }

  /** Bring a part of the picture into view, at most zooming out. @param {Point} point */
  reveal(point) {
    const box = this.element.getBoundingClientRect();
    const [x, y] = this.toWindow(point);
    const inside = x > box.left + 24 && x < box.right - 24 && y > box.top + 24 && y < box.bottom - 24;
    if (!inside) this.pan(box.left + box.width / 2 - x, box.top + box.height / 2 - y);
  }

  /** @param {Point} point of the window @returns {Point} */
  toPicture([x, y]) {
    const box = this.element.getBoundingClientRect();
    return [(x - box.left - this.#x) / this.scale, (y - box.top - this.#y) / this.scale];
  }

  /** @param {Point} point of the picture @returns {Point} */
  toWindow([x, y]) {
    const box = this.element.getBoundingClientRect();
    return [box.left + this.#x + x * this.scale, box.top + this.#y + y * this.scale];
  }

  /** @param {Point} point @returns {Point} the nearest one inside the picture */
  inside([x, y]) {
    return [Math.min(this.width, Math.max(0, x)), Math.min(this.height, Math.max(0, y))];
  }

  /** What the picture's other views (the reference) must look like. @param {HTMLElement} element */
  align(element) {
    element.style.transform = `translate(${this.#x}px, ${this.#y}px) scale(${this.scale})`;
    element.style.width = `${this.width}px`;
    element.style.height = `${this.height}px`;
  }

  #room() {
    return { width: this.element.clientWidth || 1, height: this.element.clientHeight || 1 };
  }

  #middle() {
    const box = this.element.getBoundingClientRect();
    return /** @type {Point} */ ([box.left + box.width / 2, box.top + box.height / 2]);
  }

  #fitScale() {
    const { width, height } = this.#room();
    return Math.max(1e-3, // before there is a window
      Math.min((width - 2 * MARGIN) / this.width, (height - 2 * MARGIN) / this.height));
  }

  #resized() {
    if (this.#fitted) this.fit();
    else this.pan(0, 0);
  }

  #show() {
    const { width, height } = this.#room();
    this.align(this.picture);
    const { scale } = this;
    set(this.drawing, "viewBox",
      `${-this.#x / scale} ${-this.#y / scale} ${width / scale} ${height / scale}`);
    for (const listener of this.#listeners) listener();
  }
}

/**
 * A position from which the picture cannot get lost: centred where it fits, else at most
 * half the room is bare.
 * @param {number} at
 * @param {number} room
 * @param {number} size
 */
function held(at, room, size) {
  if (size + 2 * MARGIN <= room) return (room - size) / 2;
  return Math.min(room / 2, Math.max(room / 2 - size, at));
}
