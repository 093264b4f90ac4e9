// Bays from quads: the planogram holds nothing but quads, so what was drawn as one shelf is found
// again by what its slots share. Only a slot that the bay draws to the same place belongs to it.

import { cellQuads, equalDividers, trimFor } from "./divide.js";
import { apply, invert, unitTo } from "./homography.js";
import { distance, nearestOn, turn } from "./quad.js";

/** @typedef {import("./homography.js").Point} Point */
/** @typedef {import("./homography.js").Quad} Quad */
/** @typedef {import("./divide.js").Span} Span */
/** @typedef {Span & {cells: (number|null)[]}} Row by index of its quad; null is a hole */
/** @typedef {{quad: Quad, rows: Row[]}} Bay */
/** @typedef {{quad: Quad, members: number[]}} Strip quads side by side, and what is around them */

const WIDEST_HOLE = 4; // cells: what is farther apart is two shelves
const HIGHEST_RAIL = 2; // rows: room for one that is missing, no more

/**
 * Bays as their first cells are listed. What touches nothing to its left or right is loose, if no
 * wider row takes it in: slots that only stand above each other may be anything.
 * @param {Quad[]} quads convex, clockwise from the top left
 * @param {number} slack how far a corner may lie from where the bay draws it: rounding, no more
 * @returns {Bay[]}
 */
export function regrouped(quads, slack) {
  let strips = joined(touching(quads), slack);
  const bays = [];
  for (let seed = longest(strips); seed && seed.members.length > 1; seed = longest(strips)) {
    const { taken, bay } = grown(seed, strips, quads, slack);
    strips = strips.filter((strip) => !taken.includes(strip));
    if (bay) bays.push(bay);
  }
  const first = (/** @type {Bay} */ bay) =>
    Math.min(...bay.rows.flatMap(({ cells }) => cells.map((cell) => cell ?? Infinity)));
  return bays.sort((a, b) => first(a) - first(b));
}

/**
 * Quads of which each shares its right side with the next one's left.
 * @param {Quad[]} quads
 * @returns {Strip[]}
 */
function touching(quads) {
  const lefts = new Map(quads.map(([topLeft, , , bottomLeft], i) => [`${topLeft}|${bottomLeft}`, i]));
  const nexts = quads.map(([, topRight, bottomRight]) => lefts.get(`${topRight}|${bottomRight}`));
  const inner = new Set(nexts), seen = new Set();
  const strips = [];
  for (const head of quads.keys()) {
    if (inner.has(head)) continue;
    const members = [];
    for (let i = /** @type {number|undefined} */ (head); i !== undefined && !seen.has(i); i = nexts[i]) {
      members.push(i);
      seen.add(i);
    }
    strips.push({ quad: around(quads[head], quads[members[members.length - 1]]), members });
  }
  return strips;
}

/**
 * Strips that a deleted slot parts are one row with a hole.
 * @param {Strip[]} strips
 * @param {number} slack
 * @returns {Strip[]}
 */
function joined(strips, slack) {
  /** @type {Strip[]} */
  const rows = [];
  for (const strip of [...strips].sort((a, b) => beginning(a) - beginning(b))) {
    const at = rows.findIndex((row) => continues(row, strip, slack));
    if (at < 0) rows.push(strip);
    else rows[at] = { quad: around(rows[at].quad, strip.quad), members: [...rows[at].members, ...strip.members] };
  }
  return rows;
}

/**
 * Where a strip begins, along the side of the picture that it runs along: a camera may hang on its
 * side, or upside down.
 * @param {Strip} strip
 */
function beginning({ quad: [[x, y], [rightX, rightY]] }) {
  const dx = rightX - x, dy = rightY - y;
  return Math.abs(dx) >= Math.abs(dy) ? Math.sign(dx) * x : Math.sign(dy) * y;
}

/**
 * @param {Strip} row
 * @param {Strip} strip
 * @param {number} slack
 */
function continues(row, strip, slack) {
  const [a, b] = [row.quad, strip.quad];
  const cells = row.members.length + strip.members.length;
  if (cells < 3 || turn(a[1], a[2], b[0]) > 0) return false;
  const cell = (distance(a[0], a[1]) + distance(b[0], b[1])) / cells;
  return distance(a[1], b[0]) < WIDEST_HOLE * cell &&
    onLine([a[1], b[0]], a[0], b[1], slack) && onLine([a[2], b[3]], a[3], b[2], slack);
}

/** @param {Strip[]} strips @returns {Strip|null} */
function longest(strips) {
  return strips.reduce((/** @type {Strip|null} */ best, strip) =>
    (best && best.members.length >= strip.members.length ? best : strip), null);
}

/**
 * The bay of a strip, with all that fits above, below and within it.
 * @param {Strip} seed
 * @param {Strip[]} strips
 * @param {Quad[]} quads
 * @param {number} slack
 * @returns {{taken: Strip[], bay: Bay|null}}
 */
function grown(seed, strips, quads, slack) {
  let taken = [seed], bay = laidOut(seed.quad, taken, quads, slack);
  const [left, right] = seed.quad;
  const away = (/** @type {Strip} */ { quad }) => distance(quad[0], left);
  const below = (/** @type {Strip} */ { quad }) => turn(left, right, quad[0]);
  const near = strips.filter((one) => one !== seed).sort((a, b) => away(a) - away(b));
  for (const strip of [...near, ...near]) { // again: what lies within is known once the ends are
    if (!bay || taken.includes(strip)) continue;
    const more = [...taken, strip].sort((a, b) => below(a) - below(b));
    const [top, bottom] = [more[0].quad, more[more.length - 1].quad];
    /** @type {Quad} */
    const outer = [top[0], top[1], bottom[2], bottom[3]];
    const inside = strip !== more[0] && strip !== more[more.length - 1];
    const aligned = inside || straight(outer, strip.quad, slack);
    const next = aligned ? laidOut(outer, more, quads, slack) : null;
    if (next) [taken, bay] = [more, next];
  }
  return { taken, bay };
}

/**
 * @param {Quad} outer
 * @param {Strip[]} strips from the top down
 * @param {Quad[]} quads
 * @param {number} slack
 * @returns {Bay|null} null where some slot would be drawn elsewhere, or rows lie on each other
 */
function laidOut(outer, strips, quads, slack) {
  let inverse;
  try {
    inverse = invert(unitTo(outer));
  } catch {
    return null; // corners on one line: no shelf
  }
  const rows = [];
  for (const { members } of strips) {
    const row = rowOf(outer, inverse, members, quads, slack);
    const above = rows[rows.length - 1];
    const rail = row && above ? row.v[0] - above.v[1] : 0;
    const least = row && above ? Math.min(row.v[1] - row.v[0], above.v[1] - above.v[0]) : 1;
    if (!row || rail < -1e-3 || rail > HIGHEST_RAIL * least) return null;
    rows.push(row);
  }
  return { quad: outer, rows };
}

/**
 * @param {Quad} outer
 * @param {import("./homography.js").Matrix} inverse of the unit square's map to it
 * @param {number[]} members from left to right
 * @param {Quad[]} quads
 * @param {number} slack
 * @returns {Row|null}
 */
function rowOf(outer, inverse, members, quads, slack) {
  const near = slack / distance(outer[0], outer[1]);
  const inside = members.map((i) => quads[i].map((corner) => apply(inverse, corner)));
  /** @type {(number|null)[]} */
  const cells = [];
  const edges = [{ top: 0, bottom: 0 }];
  inside.forEach(([[topLeft], [topRight], [bottomRight], [bottomLeft]], i) => {
    const last = edges[edges.length - 1];
    if (Math.abs(topLeft - last.top) > near || Math.abs(bottomLeft - last.bottom) > near) {
      cells.push(null);
      edges.push({ top: topLeft, bottom: bottomLeft });
    }
    cells.push(members[i]);
    edges.push({ top: topRight, bottom: bottomRight });
  });
  const end = edges[edges.length - 1];
  if (Math.abs(end.top - 1) > near || Math.abs(end.bottom - 1) > near) cells.push(null);
  else edges.pop();
  const v = mean(inside.map(([a, b, c, d]) => [(a[1] + b[1]) / 2, (c[1] + d[1]) / 2]));
  const same = (/** @type {Span} */ span) => {
    const drawn = cellQuads(outer, span);
    return cells.every((cell, i) => cell === null ||
      quads[cell].every((corner, k) => distance(corner, drawn[i][k]) <= slack));
  };
  const span = ways(edges.slice(1), v, near).find(same);
  return span ? { ...span, cells } : null;
}

/**
 * How a row may have been divided: equally, equally but for perspective, or by hand.
 * @param {{top: number, bottom: number}[]} inner boundaries
 * @param {[number, number]} v
 * @param {number} near
 * @returns {Span[]}
 */
function ways(inner, v, near) {
  const equal = equalDividers(inner.length + 1);
  const byHand = inner.map(({ top, bottom }) => ({
    u: (top + bottom) / 2, lean: Math.abs(bottom - top) < near ? 0 : bottom - top,
    pinned: true, guessed: false,
  }));
  const spans = [{ v, dividers: equal, trim: 1 }, { v, dividers: byHand, trim: 1 }];
  if (inner.length > 1) { // one divider alone would fit anything
    spans.splice(1, 0, { v, dividers: equal, trim: trimFor(equal[0].u, byHand[0].u) });
  }
  return spans;
}

/** @param {number[][]} pairs @returns {[number, number]} */
function mean(pairs) {
  const sum = (/** @type {number} */ k) => pairs.reduce((total, pair) => total + pair[k], 0);
  return [sum(0) / pairs.length, sum(1) / pairs.length];
}

/** @param {Quad} left @param {Quad} right @returns {Quad} */
function around(left, right) {
  return [left[0], right[1], right[2], left[3]];
}

/**
 * A strip's ends lie on the sides of what is to be the bay.
 * @param {Quad} outer
 * @param {Quad} strip
 * @param {number} slack
 */
function straight(outer, strip, slack) {
  return onLine([strip[0], strip[3]], outer[0], outer[3], slack) &&
    onLine([strip[1], strip[2]], outer[1], outer[2], slack);
}

/**
 * @param {Point[]} points
 * @param {Point} a
 * @param {Point} b
 * @param {number} slack
 */
function onLine(points, a, b, slack) {
  return points.every((point) => distance(point, nearestOn(point, a, b)) <= slack);
}
