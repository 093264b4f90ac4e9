// Quads in pixels of the picture: their order, whether they can be slots, and what speaks against them.

import { apply, unitTo } from "./homography.js";

/** @typedef {import("./homography.js").Point} Point */
/** @typedef {import("./homography.js").Quad} Quad */
/** @typedef {{width: number, height: number}} Size */

const MIN_SIDE = 24; // pixels: below, the model sees hardly more than noise
const MAX_OVERLAP = 0.05; // of the smaller slot
const COUNTED = 32; // points along a side where a share is counted
const MAX_SKEW = 0.6; // of opposite sides: 1 − shorter / longer

/**
 * Twice the area of a, b, c; above 0 where they turn clockwise on the picture.
 * @param {Point} a
 * @param {Point} b
 * @param {Point} c
 */
export function turn(a, b, c) {
  return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
}

/**
 * Four taps in any order as top left, top right, bottom right, bottom left.
 * @param {Point[]} points
 * @returns {Quad}
 */
export function ordered(points) {
  const [cx, cy] = centre(points);
  const round = [...points].sort(
    (p, q) => Math.atan2(p[1] - cy, p[0] - cx) - Math.atan2(q[1] - cy, q[0] - cx));
  let first = 0;
  for (let i = 1; i < 4; i++) {
    if (round[i][0] + round[i][1] < round[first][0] + round[first][1]) first = i;
  }
  return /** @type {Quad} */ ([0, 1, 2, 3].map((i) => round[(first + i) % 4]));
}

/**
 * The upright rectangle of a diagonal.
 * @param {Point} a
 * @param {Point} b
 * @returns {Quad}
 */
export function rectangle(a, b) {
  const [left, right] = a[0] < b[0] ? [a[0], b[0]] : [b[0], a[0]];
  const [top, bottom] = a[1] < b[1] ? [a[1], b[1]] : [b[1], a[1]];
  return [[left, top], [right, top], [right, bottom], [left, bottom]];
}

/**
 * @param {Point[]} points
 * @returns {Point}
 */
export function centre(points) {
  let x = 0, y = 0;
  for (const point of points) { x += point[0]; y += point[1]; }
  return [x / points.length, y / points.length];
}

/**
 * @param {Point[]} polygon
 * @returns {number} in square pixels; below 0 where it runs anticlockwise
 */
export function area(polygon) {
  let sum = 0;
  polygon.forEach(([x, y], i) => {
    const [nextX, nextY] = polygon[(i + 1) % polygon.length];
    sum += x * nextY - nextX * y;
  });
  return sum / 2;
}

/**
 * Convex, clockwise, and with an area: what the planogram accepts.
 * @param {Quad} quad
 */
export function isConvex(quad) {
  return area(quad) > 4 && quad.every((p, i) => turn(p, quad[(i + 1) % 4], quad[(i + 2) % 4]) > 0);
}

/**
 * @param {Quad} quad
 * @param {Point} point
 */
export function contains(quad, point) {
  return quad.every((corner, i) => turn(corner, quad[(i + 1) % 4], point) >= 0);
}

/**
 * How much of a quad lies in any of the others: of the quad as it is seen upright, for that is
 * what the model gets. Counted on a grid of points.
 * @param {Quad} quad
 * @param {Quad[]} others
 * @returns {number} 0 to 1
 */
export function shareInside(quad, others) {
  const own = bounds(quad);
  const near = others.filter((other) => {
    const { left, top, right, bottom } = bounds(other);
    return left < own.right && right > own.left && top < own.bottom && bottom > own.top;
  });
  if (!near.length) return 0;
  const map = unitTo(quad);
  let inside = 0;
  for (let k = 0; k < COUNTED * COUNTED; k++) {
    const point = apply(map, [((k % COUNTED) + 0.5) / COUNTED, (Math.floor(k / COUNTED) + 0.5) / COUNTED]);
    if (near.some((other) => contains(other, point))) inside++;
  }
  return inside / COUNTED ** 2;
}

/**
 * The common part of two convex clockwise polygons.
 * @param {Point[]} subject
 * @param {Point[]} clip
 * @returns {Point[]}
 */
function intersection(subject, clip) {
  let rest = subject;
  for (let i = 0; i < clip.length && rest.length; i++) {
    const a = clip[i], b = clip[(i + 1) % clip.length];
    const before = rest;
    rest = [];
    before.forEach((p, k) => {
      const q = before[(k + 1) % before.length];
      const from = turn(a, b, p), to = turn(a, b, q);
      if (from >= 0) rest.push(p);
      if (from * to < 0) {
        const t = from / (from - to);
        rest.push([p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])]);
      }
    });
  }
  return rest;
}

/**
 * @param {Quad} a
 * @param {Quad} b
 * @returns {number} the common part as a share of the smaller quad
 */
export function overlap(a, b) {
  const boxA = bounds(a), boxB = bounds(b);
  if (boxA.right <= boxB.left || boxB.right <= boxA.left ||
      boxA.bottom <= boxB.top || boxB.bottom <= boxA.top) return 0;
  const common = intersection(a, b);
  return common.length < 3 ? 0 : Math.abs(area(common)) / Math.min(area(a), area(b));
}

/** @param {Point[]} points */
export function bounds(points) {
  const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
  return { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
}

/**
 * Lengths of top, right, bottom and left.
 * @param {Quad} quad
 */
export function sides(quad) {
  return quad.map((p, i) => distance(p, quad[(i + 1) % 4]));
}

/**
 * @param {Point} a
 * @param {Point} b
 */
export function distance(a, b) {
  return Math.hypot(b[0] - a[0], b[1] - a[1]);
}

/**
 * The point of the line a–b nearest to p.
 * @param {Point} p
 * @param {Point} a
 * @param {Point} b
 * @returns {Point}
 */
export function nearestOn(p, a, b) {
  const dx = b[0] - a[0], dy = b[1] - a[1];
  const length = dx * dx + dy * dy;
  const t = length ? Math.min(1, Math.max(0, ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / length)) : 0;
  return [a[0] + t * dx, a[1] + t * dy];
}

/**
 * @param {Quad} quad
 * @param {number} dx
 * @param {number} dy
 * @returns {Quad}
 */
export function shifted(quad, dx, dy) {
  return /** @type {Quad} */ (quad.map(([x, y]) => [x + dx, y + dy]));
}

/**
 * What speaks against a slot by its shape alone.
 * @param {Quad} quad
 * @param {Size} picture
 * @returns {("twisted"|"outside"|"small"|"oblique")[]} the first two cannot be saved
 */
export function shapeWarnings(quad, picture) {
  if (!isConvex(quad)) return ["twisted"];
  /** @type {("twisted"|"outside"|"small"|"oblique")[]} */
  const found = [];
  const box = bounds(quad);
  const slack = 0.05; // pixels: rounding is nobody's fault
  if (box.left < -slack || box.top < -slack ||
      box.right > picture.width + slack || box.bottom > picture.height + slack) found.push("outside");
  const [top, right, bottom, left] = sides(quad);
  if (Math.min((top + bottom) / 2, (left + right) / 2) < MIN_SIDE) found.push("small");
  const skew = (/** @type {number} */ a, /** @type {number} */ b) => 1 - Math.min(a, b) / Math.max(a, b);
  if (Math.max(skew(top, bottom), skew(left, right)) > MAX_SKEW) found.push("oblique");
  return found;
}

/**
 * Pairs of slots that lie on each other.
 * @param {Quad[]} quads
 * @returns {[number, number][]} indices
 */
export function overlapping(quads) {
  const order = quads.map((quad, index) => ({ index, box: bounds(quad) }))
    .sort((a, b) => a.box.left - b.box.left);
  /** @type {[number, number][]} */
  const pairs = [];
  order.forEach((a, i) => {
    for (let k = i + 1; k < order.length && order[k].box.left < a.box.right; k++) {
      const b = order[k];
      if (overlap(quads[a.index], quads[b.index]) > MAX_OVERLAP) pairs.push([a.index, b.index]);
    }
  });
  return pairs;
}
