// After a move of the camera some slots may reach beyond the picture: nothing can be seen there.

import { area, isConvex, shapeWarnings } from "../geom/quad.js";
import { changeLoose, detach, remove } from "./edits.js";

/** @typedef {import("../geom/homography.js").Quad} Quad */

const LEAST = 0.4; // of a slot must be in the picture for it to be judged

/**
 * @param {import("./state.js").State} state
 * @param {import("./state.js").Slot[]} slots
 * @param {{width: number, height: number}} picture
 * @returns {import("./state.js").State}
 */
export function clipped(state, slots, picture) {
  const outside = slots.filter((slot) => shapeWarnings(slot.quad, picture).includes("outside"));
  const inside = (/** @type {Quad} */ quad) => /** @type {Quad} */ (quad.map(([x, y]) =>
    [Math.min(picture.width, Math.max(0, x)), Math.min(picture.height, Math.max(0, y))]));
  const shows = (/** @type {Quad} */ quad) =>
    isConvex(inside(quad)) && area(inside(quad)) > LEAST * area(quad);
  const kept = outside.filter((slot) => shows(slot.quad));
  const rest = remove(state, outside.filter((slot) => !shows(slot.quad)));
  return changeLoose(detach(rest, kept), new Set(kept.map((slot) => slot.key)), inside);
}
