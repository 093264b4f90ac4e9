/** The slots of a camera as one drawing: over its picture, or alone. State is fill, icon and pattern. */

import { iconHref, list, s, set } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { lasting, minutesSince } from "../lib/time.js";
import { stateWords } from "./model.js";

/** @typedef {import("./model.js").Slot} Slot */

const HIGH = 1000; // units of the drawing from top to bottom
const SHRINK = 0.97; // of a slot about its middle: neighbours stay apart
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @param {(slot: string) => void} pick called with the slot that is tapped or focused and pressed
 * @returns {any} an <svg> with update(slots, aspect, selected)
 */
export function shelfMap(pick) {
  const slotsLayer = s("g");
  const root = s(
    "svg",
    {
      class: "map",
      role: "group",
      "aria-label": t("shelves.label"),
      onkeydown: keys,
      onfocusin: roam,
    },
    hatch(),
    slotsLayer,
  );
  /** @type {Slot[]} */
  let shown = [];
  let wide = HIGH;
  /** The one slot that Tab comes to; arrow keys move on. @type {string | null} */
  let home = null;

  root.update = (slots, aspect, selected) => {
    shown = slots;
    wide = HIGH * aspect;
    set(root, "viewBox", `0 0 ${wide} ${HIGH}`);
    list(
      slotsLayer,
      slots,
      (slot) => slot.id,
      (slot) => place(slot, pick),
    );
    if (!slots.some((slot) => slot.id === home)) home = slots[0]?.id ?? null;
    for (const element of slotsLayer.children) {
      element.draw(wide);
      set(element, "tabindex", element.dataset.slot === home ? "0" : "-1");
      set(element, "aria-pressed", String(element.dataset.slot === selected));
    }
  };

  function roam(event) {
    const id = event.target.dataset.slot;
    if (!id || id === home) return;
    home = id;
    for (const element of slotsLayer.children)
      set(element, "tabindex", element.dataset.slot === id ? "0" : "-1");
  }

  function keys(event) {
    const id = event.target.dataset.slot;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      pick(id);
    }
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    const next = neighbour(shown, id, arrow, wide);
    if (next) [...slotsLayer.children].find((element) => element.dataset.slot === next).focus();
  }

  return root;
}

/** One slot: its shape, the pattern of what hides it, its sign. */
function place(slot, pick) {
  const fill = s("polygon", { class: "slot__fill" });
  const veil = s("polygon", { class: "slot__veil" });
  const plate = s("rect", { class: "slot__plate", rx: 8 });
  const sign = s("use", { class: "slot__sign" });
  const element = s(
    "g",
    { role: "button", dataset: { slot: slot.id }, onclick: () => pick(slot.id) },
    fill,
    veil,
    plate,
    sign,
  );
  let current = slot;
  element.update = (/** @type {Slot} */ now) => (current = now);

  element.draw = (wide) => {
    const points = current.quad.map(([x, y]) => [x * wide, y * HIGH]);
    const [cx, cy] = middle(points);
    const path = points
      .map(([x, y]) => `${cx + (x - cx) * SHRINK},${cy + (y - cy) * SHRINK}`)
      .join(" ");
    const small = Math.min(side(points, 0), side(points, 1));
    const clear = current.visibility === "clear";
    const calm = clear && current.state === "stocked";
    const size = Math.max(16, Math.min(72, small * (calm ? 0.2 : clear ? 0.5 : 0.4)));
    set(element, "class", `slot slot--${current.state} slot--${current.visibility}`);
    set(element, "aria-label", label(current));
    set(fill, "points", path);
    set(veil, "points", path);
    box(plate, cx, cy, size * 1.35);
    box(sign, cx, cy, size);
    set(sign, "href", iconHref(clear ? current.state : current.visibility));
  };
  return element;
}

function box(element, cx, cy, size) {
  set(element, "x", cx - size / 2);
  set(element, "y", cy - size / 2);
  set(element, "width", size);
  set(element, "height", size);
}

/** @param {Slot} slot */
function label(slot) {
  const age = slot.incident ? ` · ${lasting(minutesSince(slot.incident.opened_at))}` : "";
  return `${slot.name} · ${stateWords(slot)}${age}`;
}

/** The nearest slot in the direction of the arrow, sideways counted double. */
function neighbour(slots, id, [dx, dy], wide) {
  const from = slots.find((slot) => slot.id === id);
  if (!from) return null;
  const [x, y] = middle(from.quad.map(([u, v]) => [u * wide, v * HIGH]));
  let best = null;
  let least = Infinity;
  for (const slot of slots) {
    const [u, v] = middle(slot.quad.map(([a, b]) => [a * wide, b * HIGH]));
    const ahead = (u - x) * dx + (v - y) * dy;
    const aside = Math.abs((u - x) * dy) + Math.abs((v - y) * dx);
    if (slot.id !== id && ahead > aside / 2 && ahead + 2 * aside < least) {
      best = slot.id;
      least = ahead + 2 * aside;
    }
  }
  return best;
}

function middle(points) {
  return [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
}

function side(points, at) {
  return Math.hypot(points[at + 1][0] - points[at][0], points[at + 1][1] - points[at][1]);
}

function hatch() {
  return s(
    "defs",
    null,
    s(
      "pattern",
      {
        id: "hatch",
        width: 14,
        height: 14,
        patternUnits: "userSpaceOnUse",
        patternTransform: "rotate(45)",
      },
      s("rect", { class: "hatch", width: 5, height: 14 }),
    ),
  );
}
