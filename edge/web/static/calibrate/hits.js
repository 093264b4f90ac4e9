// What lies under a pointer: handles that can be dragged, lines between cells, slots; and what a
// dragged point snaps to.

import { apply, unitTo } from "../geom/homography.js";
import { dividerLines } from "../geom/divide.js";
import { bounds, contains, distance, nearestOn, sides } from "../geom/quad.js";

/** @typedef {import("../geom/homography.js").Point} Point */
/** @typedef {import("../geom/homography.js").Quad} Quad */
/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./state.js").Bay} Bay */
/**
 * @typedef {object} Handle
 * @property {"draft"|"corner"|"loose"|"lean"|"move"|"anchor"} kind
 * @property {Point} at
 * @property {string} key of the bay or slot
 * @property {number} i corner, divider or tap
 * @property {number} r row of a divider
 * @property {"top"|"bottom"} [end] of a divider
 * @property {number} reach share of the usual reach
 */
/**
 * @typedef {object} Line
 * @property {"divider"|"rail"} kind
 * @property {Point} a
 * @property {Point} b
 * @property {string} key of the bay
 * @property {number} r
 * @property {number} i divider, or 0 the row's top and 1 its bottom
 * @property {number} room pixels of the picture at most from which it is taken hold of
 */
/** @typedef {Handle|Line|{kind: "slot", key: string}|null} Target */
/** @typedef {{corners: Point[], edges: [Point, Point][]}} SnapTargets */
/** @typedef {import("./model.js").Selection} Selection */
/** @typedef {{at: Point, edge: [Point, Point]|null}|null} Snapped */

const REACH = { mouse: 22, touch: 32 };
const LINE_REACH = { mouse: 9, touch: 18 };
const CLAIM = 0.3; // of a cell on either side belongs to its edges
export const SNAP = 8;
export const LINES_UNTIL = 2; // the last step in which shelves and their lines are changed
const MOVE_HANDLE_AWAY = 30; // CSS pixels

/** @param {string} pointerType decided for each event: one device may have both */
export function hand(pointerType) { return pointerType === "mouse" ? "mouse" : "touch"; }

/**
 * The handles that are shown.
 * @param {Model} model
 * @param {number} scale CSS pixels per pixel of the picture
 * @param {Point[]|null} anchors of aligning by hand
 * @returns {Handle[]}
 */
export function handlesOf(model, scale, anchors) {
  const handle = (/** @type {Handle["kind"]} */ kind, /** @type {Point} */ at, more = {}) =>
    ({ kind, at, key: "", i: 0, r: -1, reach: 1, ...more });
  if (anchors) return anchors.map((at, i) => handle("anchor", at, { i }));
  const { draft } = model.state;
  if (draft) return draft.points.map((at, i) => handle("draft", at, { i }));
  if (model.tool) return [];
  const found = [];
  const { bay } = model;
  if (bay && model.step <= LINES_UNTIL && model.selection.keys.length < 2) {
    found.push(...bay.quad.map((at, i) => handle("corner", at, { key: bay.key, i })));
    found.push(handle("move", beside(bay.quad, scale, model.frame), { key: bay.key }));
    if (model.step === 2) found.push(...leans(bay, model.selection.r, scale).map((lean) => handle("lean", lean.at, lean)));
  }
  const selected = model.selected;
  const [only] = selected;
  if (selected.length === 1 && !only.bay) {
    found.push(...only.quad.map((at, i) => handle("loose", at, { key: only.key, i })));
  }
  if (selected.length && !bay) {
    const box = bounds(selected.flatMap((slot) => slot.quad));
    const top = /** @type {Quad} */ ([[box.left, box.top], [box.right, box.top],
      [box.right, box.bottom], [box.left, box.bottom]]);
    found.push(handle("move", beside(top, scale, model.frame)));
  }
  return found;
}

/**
 * Above what it moves, or below where the picture has no room above, or else within.
 * @param {Quad} quad @param {number} scale @param {{width: number, height: number}} picture @returns {Point}
 */
function beside(quad, scale, { width, height }) {
  const [tl, tr, br, bl] = quad;
  const away = MOVE_HANDLE_AWAY / scale;
  const top = (tl[1] + tr[1]) / 2 - away, bottom = (bl[1] + br[1]) / 2 + away;
  const x = top > 0 ? (tl[0] + tr[0]) / 2 : (bl[0] + br[0]) / 2;
  return [Math.min(width - away / 2, Math.max(away / 2, x)),
    top > 0 ? top : bottom < height ? bottom : top + 2 * away];
}

/** @param {Bay} bay @param {number} r @param {number} scale */
function leans(bay, r, scale) {
  const row = bay.rows[r];
  if (!row) return [];
  return dividerLines(bay.quad, row).flatMap(([top, bottom], i) => {
    const reach = Math.min(0.6, (distance(top, bottom) * scale) / 4 / REACH.mouse);
    return [
      { at: top, i, r, key: bay.key, end: "top", reach },
      { at: bottom, i, r, key: bay.key, end: "bottom", reach },
    ];
  });
}

/** @param {Model} model @returns {boolean} whether the lines of a bay under edit are shown */
export function showsLines({ tool, step }) { return !tool && step <= LINES_UNTIL; }

/** @param {Model} model @returns {Bay|null} the bay whose lines are shown */
export function ruledBay(model) { return showsLines(model) ? model.bay : null; }

/** @param {Bay} bay @returns {Line[]} in reading order */
export function linesOf(bay) {
  const map = unitTo(bay.quad);
  const [top, right, bottom, left] = sides(bay.quad);
  return bay.rows.flatMap((row, r) => {
    // small slots keep a middle in which they themselves are pressed
    const across = (CLAIM * Math.min(top, bottom)) / row.cells.length;
    const down = CLAIM * Math.min(left, right) * (row.v[1] - row.v[0]);
    const [upper, lower] = row.v.map((v, end) => (v <= 0 || v >= 1 ? [] : [/** @type {Line} */ ({
      kind: "rail", a: apply(map, [0, v]), b: apply(map, [1, v]), key: bay.key, r, i: end, room: down })]));
    const dividers = dividerLines(bay.quad, row).map(([a, b], i) =>
      /** @type {Line} */ ({ kind: "divider", a, b, key: bay.key, r, i, room: across }));
    return [...upper, ...dividers, ...lower];
  });
}

/** @param {{kind: string, r: number, i: number}} line @returns {string} its name within its bay */
export function lineName({ kind, r, i }) { return `${kind}/${r}/${i}`; }

/** @param {Target|undefined} target @returns {string} the same for the same thing */
export function targetName(target) {
  if (!target) return "";
  const { kind, key, i, r, end } = /** @type {any} */ (target);
  return [kind, key, i, r, end].join("/");
}

/** @param {Selection} selection @param {Line} line of the bay under edit */
export function isHeld({ r, divider, rail }, line) {
  return r === line.r && line.i === (line.kind === "divider" ? divider : rail);
}

/** @param {Line} line @returns {Point} */
export function middleOf({ a, b }) { return [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]; }

/**
 * What the arrow keys move: the line or corner in hand, else the slot or the bay.
 * @param {Model} model
 * @returns {Target}
 */
export function inHand(model) {
  const { bay, selection } = model;
  const [only] = model.selected;
  const line = bay && linesOf(bay).find((one) => isHeld(selection, one));
  if (line) return line;
  if (!bay && !only) return null;
  const handle = { at: /** @type {Point} */ ([0, 0]), key: bay?.key ?? "", i: selection.corner, r: selection.r, reach: 1 };
  if (selection.corner >= 0) return bay ? { ...handle, kind: "corner" } : { ...handle, kind: "loose", key: only.key };
  return { ...handle, kind: "move", key: only ? "" : handle.key };
}

/**
 * A line goes only across itself: an arrow key along it moves nothing.
 * @param {NonNullable<Target>} target
 * @param {Model} model
 * @param {Point} way
 * @returns {Point}
 */
export function across(target, { bay }, [dx, dy]) {
  const line = target.kind === "lean" && bay
    ? linesOf(bay).find(({ kind, r, i }) => kind === "divider" && r === target.r && i === target.i) : target;
  if (!line || !("a" in line)) return [dx, dy];
  const { a, b } = line;
  return Math.abs(b[1] - a[1]) > Math.abs(b[0] - a[0]) ? [dx, 0] : [0, dy];
}

/**
 * @param {Model} model
 * @param {Point} point
 * @param {number} scale
 * @param {"mouse"|"touch"} pointer
 * @param {Point[]|null} anchors
 * @returns {Target}
 */
export function targetAt(model, point, scale, pointer, anchors) {
  const near = nearestHandle(handlesOf(model, scale, anchors), point, REACH[pointer] / scale);
  if (near || anchors || model.tool) return near;
  const ruled = ruledBay(model);
  if (ruled) {
    const line = nearestLine(linesOf(ruled), point, LINE_REACH[pointer] / scale);
    if (line) return line;
  }
  const under = model.slots.filter((slot) => contains(slot.quad, point));
  const top = under[under.length - 1]; // loose slots come last and lie on top
  return top ? { kind: "slot", key: top.key } : null;
}

/** @param {Handle[]} handles @param {Point} point @param {number} reach */
function nearestHandle(handles, point, reach) {
  let best = null, least = Infinity;
  for (const handle of handles) {
    const away = distance(handle.at, point) / handle.reach;
    if (away <= reach && away < least) { best = handle; least = away; }
  }
  return best;
}

/** @param {Line[]} lines @param {Point} point @param {number} reach */
function nearestLine(lines, point, reach) {
  let best = null, least = reach;
  for (const line of lines) {
    const away = distance(nearestOn(point, line.a, line.b), point);
    if (away < least && away < line.room) { best = line; least = away; }
  }
  return best;
}

/**
 * Everything a point may snap to, but for what moves with it.
 * @param {Model} model
 * @param {Set<string>} moving keys of slots
 * @param {string} [movingBay]
 * @returns {SnapTargets}
 */
export function snapTargets(model, moving, movingBay) {
  const { width, height } = model.frame;
  /** @type {Quad} */
  const picture = [[0, 0], [width, 0], [width, height], [0, height]];
  const quads = model.slots
    .filter((slot) => !moving.has(slot.key) && (!movingBay || slot.bay?.key !== movingBay))
    .map((slot) => slot.quad);
  const all = [picture, ...quads];
  return {
    corners: all.flat(),
    edges: all.flatMap((quad) => quad.map((corner, i) =>
      /** @type {[Point, Point]} */ ([corner, quad[(i + 1) % 4]]))),
  };
}

/**
 * @param {Point} point
 * @param {SnapTargets} targets
 * @param {number} reach in pixels of the picture
 * @returns {Snapped} null where nothing is near
 */
export function snapped(point, targets, reach) {
  let best = null, least = reach;
  for (const corner of targets.corners) {
    const away = distance(corner, point);
    if (away < least) { best = corner; least = away; }
  }
  if (best) return { at: best, edge: null };
  let line = null;
  for (const edge of targets.edges) {
    const at = nearestOn(point, ...edge);
    const away = distance(at, point);
    if (away < least) { best = at; line = edge; least = away; }
  }
  return best ? { at: best, edge: line } : null;
}
