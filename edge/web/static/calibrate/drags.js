// What dragging a handle or a line does to the drawing, for pointers and arrow keys alike.

import { leanDivider, leastGap, moveDivider, trimFor, trimmed, within } from "../geom/divide.js";
import { distance, isConvex, shifted } from "../geom/quad.js";
import { changeBay, changeLoose, changeRow, moveRail, moveSlots } from "./edits.js";

/** @typedef {import("../geom/homography.js").Point} Point */
/** @typedef {import("../geom/homography.js").Quad} Quad */
/** @typedef {import("./hits.js").Target} Target */
/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./state.js").State} State */
/**
 * @typedef {object} Drag
 * @property {Point} origin where the dragged point is now
 * @property {string} label key of the words that undo names
 * @property {boolean} precise a corner: it snaps, and the loupe shows it
 * @property {Point[]} arms ends of the edges that move with it
 * @property {Set<string>} moving slots that move with it
 * @property {string} [bay] that moves with it
 * @property {(to: Point) => State|null} to the state where the point is there; null: impossible
 */

const TOGETHER = 0.75; // pixels: corners so near move as one

/**
 * @param {Model} model
 * @param {NonNullable<Target>} target
 * @param {Point} at where the pointer took hold
 * @returns {Drag|null} null for what cannot be dragged
 */
export function dragOf(model, target, at) {
  switch (target.kind) {
    case "draft": return draftDrag(model, target.i);
    case "corner": return cornerDrag(model, target.key, target.i);
    case "loose": return looseDrag(model, target.key, target.i);
    case "lean": return leanDrag(model, target);
    case "divider": return dividerDrag(model, target, at);
    case "rail": return railDrag(model, target, at);
    case "move": return moveDrag(model, target);
    default: return null;
  }
}

const NONE = new Set();

/** @param {Model} model @param {number} i @returns {Drag|null} */
function draftDrag(model, i) {
  const { state } = model;
  const { draft } = state;
  if (!draft) return null;
  return {
    origin: draft.points[i], label: "calibrate.did.point", precise: true, moving: NONE,
    arms: draft.points.filter((_, k) => Math.abs(k - i) === 1),
    to: (point) => ({ ...state, draft: {
      ...draft, points: draft.points.map((old, k) => (k === i ? point : old)) } }),
  };
}

/** @param {Quad} quad @param {number} i @param {Point} point @returns {Quad} */
function withCorner(quad, i, point) {
  return /** @type {Quad} */ (quad.map((corner, k) => (k === i ? point : corner)));
}

/** @param {Quad} quad @param {number} i @returns {Point[]} */
function arms(quad, i) { return [quad[(i + 3) % 4], quad[(i + 1) % 4]]; }

/** @param {Model} model @param {string} key @param {number} i @returns {Drag|null} */
function cornerDrag(model, key, i) {
  const { state } = model;
  const bay = state.bays.find((one) => one.key === key);
  if (!bay) return null;
  return {
    origin: bay.quad[i], label: "calibrate.did.corner", precise: true, moving: NONE, bay: key,
    arms: arms(bay.quad, i),
    to: (point) => {
      const quad = withCorner(bay.quad, i, point);
      return isConvex(quad) ? changeBay(state, key, (old) => ({ ...old, quad })) : null;
    },
  };
}

/**
 * The corner of a loose slot; corners of other loose slots at the same place come along, so that
 * neighbours stay neighbours.
 * @param {Model} model @param {string} key @param {number} i @returns {Drag|null}
 */
function looseDrag(model, key, i) {
  const { state } = model;
  const slot = state.loose.find((one) => one.key === key);
  if (!slot) return null;
  const origin = slot.quad[i];
  const sharing = new Set(state.loose
    .filter((one) => one.quad.some((corner) => distance(corner, origin) < TOGETHER))
    .map((one) => one.key));
  return {
    origin, label: "calibrate.did.corner", precise: true, moving: sharing, arms: arms(slot.quad, i),
    to: (point) => {
      const next = changeLoose(state, sharing, (quad) => /** @type {Quad} */ (quad.map((corner) =>
        (distance(corner, origin) < TOGETHER ? point : corner))));
      return next.loose.every((one) => !sharing.has(one.key) || isConvex(one.quad)) ? next : null;
    },
  };
}

/** @param {Model} model @param {import("./hits.js").Handle} target @returns {Drag|null} */
function leanDrag(model, { key, r, i, end, at }) {
  const { state } = model;
  const bay = state.bays.find((one) => one.key === key);
  if (!bay || !end) return null;
  const least = leastGap(bay.quad, bay.rows[r].cells.length);
  return {
    origin: at, label: "calibrate.did.lean", precise: true, moving: NONE, bay: key, arms: [],
    to: (point) => {
      const [u] = within(bay.quad, point);
      return changeRow(state, key, r, (row) => ({ ...row, dividers: leanDivider(row, i, end, u, least) }));
    },
  };
}

/** @param {Model} model @param {import("./hits.js").Line} target @param {Point} at @returns {Drag|null} */
function dividerDrag(model, { key, r, i }, at) {
  const { state } = model;
  const bay = state.bays.find((one) => one.key === key);
  if (!bay) return null;
  const row = bay.rows[r];
  const start = row.dividers[i];
  const shown = trimmed(start.u, row.trim);
  const held = within(bay.quad, at)[0];
  const least = leastGap(bay.quad, row.cells.length);
  const place = (/** @type {Point} */ point) => shown + within(bay.quad, point)[0] - held;
  if (model.keepEqual) {
    return {
      origin: at, label: "calibrate.did.trim", precise: false, moving: NONE, bay: key, arms: [],
      to: (point) => {
        const t = Math.min(0.98, Math.max(0.02, place(point)));
        const trim = Math.min(20, Math.max(0.05, trimFor(start.u, t)));
        return changeRow(state, key, r, (old) => ({ ...old, trim }));
      },
    };
  }
  return {
    origin: at, label: "calibrate.did.divider", precise: false, moving: NONE, bay: key, arms: [],
    to: (point) => changeRow(state, key, r, (old) => (
      { ...old, dividers: moveDivider(old, i, place(point), least) })),
  };
}

/**
 * A rail's edge where it has a gap below or above; both edges where the rows touch.
 * @param {Model} model @param {import("./hits.js").Line} target @param {Point} at @returns {Drag|null}
 */
function railDrag(model, { key, r, i }, at) {
  const { state } = model;
  const bay = state.bays.find((one) => one.key === key);
  if (!bay) return null;
  const end = /** @type {0|1} */ (i);
  const other = bay.rows[end ? r + 1 : r - 1];
  const start = bay.rows[r].v[end];
  const together = other !== undefined && Math.abs(other.v[1 - end] - start) < 1e-6;
  const held = within(bay.quad, at)[1];
  return {
    origin: at, label: "calibrate.did.rail", precise: false, moving: NONE, bay: key, arms: [],
    to: (point) => changeBay(state, key, (old) =>
      moveRail(old, r, end, start + within(bay.quad, point)[1] - held, together)),
  };
}

/** @param {Model} model @param {import("./hits.js").Handle} target @returns {Drag|null} */
function moveDrag(model, { key, at }) {
  const { state } = model;
  const bay = state.bays.find((one) => one.key === key);
  const { selected } = model;
  const moving = new Set(selected.map((slot) => slot.key));
  return {
    origin: at, label: "calibrate.did.move", precise: false, moving, bay: bay?.key, arms: [],
    to: (point) => {
      const dx = point[0] - at[0], dy = point[1] - at[1];
      return bay ? changeBay(state, key, (old) => ({ ...old, quad: shifted(bay.quad, dx, dy) }))
        : moveSlots(state, selected, dx, dy);
    },
  };
}
