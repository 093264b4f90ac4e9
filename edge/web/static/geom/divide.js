// Dividing a shelf: rows × columns in true perspective, with dividers that are pinned or share
// the room between pins equally. Positions are u (along the row) and v (down the bay), 0 to 1, in
// the bay's own perspective.

import { apply, invert, unitTo } from "./homography.js";

/** @typedef {import("./homography.js").Point} Point */
/** @typedef {import("./homography.js").Quad} Quad */
/**
 * @typedef {object} Divider
 * @property {number} u position, before the trim
 * @property {number} lean how much further right its lower end is than its upper end
 * @property {boolean} pinned keeps its place when others are spread
 * @property {boolean} guessed suggested where the picture shows no edge
 */
/**
 * @typedef {object} Span one row of a bay
 * @property {[number, number]} v top and bottom
 * @property {Divider[]} dividers between the cells, from left to right
 * @property {number} trim perspective along the row: height right / height left; 1 changes nothing
 */

export const DEFAULT_GAP = 0.06; // of the bay's height: a price rail
const MIN_PIXELS = 8;

/**
 * Rows × columns of a quad.
 * @param {Quad} quad
 * @param {number[]} us boundaries along, 0 … 1
 * @param {[number, number][]} vs top and bottom of each row
 * @returns {Quad[]} row by row
 */
export function divide(quad, us, vs) {
  const map = unitTo(quad);
  return vs.flatMap(([top, bottom]) => us.slice(1).map((right, i) => /** @type {Quad} */ ([
    apply(map, [us[i], top]), apply(map, [right, top]),
    apply(map, [right, bottom]), apply(map, [us[i], bottom]),
  ])));
}

/**
 * Tops and bottoms of rows of equal height with rails between them.
 * @param {number} count
 * @param {number} gap between two rows, of the bay's height
 * @returns {[number, number][]}
 */
export function rowSpans(count, gap) {
  const room = Math.min(gap, 0.5 / count);
  const height = (1 - room * (count - 1)) / count;
  return Array.from({ length: count }, (_, row) => {
    const top = row * (height + room);
    return [top, row === count - 1 ? 1 : top + height];
  });
}

/**
 * Move the upper or lower edge of a row; its neighbour's edge is the limit.
 * @param {[number, number][]} rows
 * @param {number} r
 * @param {0|1} end 0 the row's top, 1 its bottom
 * @param {number} v where it is to be
 * @param {boolean} both the neighbour's edge goes along: the rail keeps its height
 * @returns {[number, number][]}
 */
export function moveSpan(rows, r, end, v, both) {
  const spans = rows.map((row) => /** @type {[number, number]} */ ([...row]));
  const least = 0.1 / spans.length;
  const own = spans[r], other = spans[end ? r + 1 : r - 1];
  const delta = v - own[end];
  let [low, high] = end ? [own[0] + least, 1] : [0, own[1] - least];
  if (other && !both) { if (end) high = other[0]; else low = other[1]; }
  own[end] = Math.min(Math.max(v, low), high);
  if (other && both) {
    [low, high] = end ? [0, other[1] - least] : [other[0] + least, 1];
    other[1 - end] = Math.min(Math.max(other[1 - end] + delta, low), high);
  }
  return spans;
}

/**
 * @param {number} cells
 * @returns {Divider[]}
 */
export function equalDividers(cells) {
  return Array.from({ length: cells - 1 }, (_, i) => divider((i + 1) / cells));
}

/**
 * @param {number} u
 * @returns {Divider}
 */
export function divider(u, pinned = false, guessed = false) {
  return { u, lean: 0, pinned, guessed };
}

/**
 * Unpinned dividers share the room between their pinned neighbours equally.
 * @param {Divider[]} dividers
 * @returns {Divider[]}
 */
export function spread(dividers) {
  const next = [...dividers];
  let from = -1, start = 0;
  for (let to = 0; to <= next.length; to++) {
    if (to < next.length && !next[to].pinned) continue;
    const end = to < next.length ? next[to].u : 1;
    for (let i = from + 1; i < to; i++) {
      next[i] = { ...next[i], u: start + ((end - start) * (i - from)) / (to - from) };
    }
    from = to;
    start = end;
  }
  return next;
}

/**
 * The trim moves what is at u in the drawn quad's perspective to where it is in the row's own.
 * @param {number} u
 * @param {number} k
 */
export function trimmed(u, k) {
  return u / (u + k * (1 - u));
}

/**
 * The trim that takes u to t: dragging one divider repairs a badly drawn thin row.
 * @param {number} u
 * @param {number} t
 */
export function trimFor(u, t) {
  return (u * (1 - t)) / (t * (1 - u));
}

/**
 * @param {number} t
 * @param {number} k
 */
export function untrimmed(t, k) {
  return trimmed(t, 1 / k);
}

/**
 * Boundaries of a row as drawn, 0 and 1 included.
 * @param {Span} row
 * @returns {{top: number, bottom: number}[]}
 */
export function boundaries(row) {
  const inner = row.dividers.map(({ u, lean }) => {
    const t = trimmed(u, row.trim);
    return { top: t - lean / 2, bottom: t + lean / 2 };
  });
  return [{ top: 0, bottom: 0 }, ...inner, { top: 1, bottom: 1 }];
}

/**
 * Quads of a row's cells.
 * @param {Quad} quad the bay
 * @param {Span} row
 * @returns {Quad[]}
 */
export function cellQuads(quad, row) {
  const map = unitTo(quad);
  const [top, bottom] = row.v;
  const edges = boundaries(row);
  return edges.slice(1).map((right, i) => [
    apply(map, [edges[i].top, top]), apply(map, [right.top, top]),
    apply(map, [right.bottom, bottom]), apply(map, [edges[i].bottom, bottom]),
  ]);
}

/**
 * The two ends of each divider on the picture.
 * @param {Quad} quad the bay
 * @param {Span} row
 * @returns {[Point, Point][]}
 */
export function dividerLines(quad, row) {
  const map = unitTo(quad);
  return boundaries(row).slice(1, -1).map(({ top, bottom }) => [
    apply(map, [top, row.v[0]]), apply(map, [bottom, row.v[1]]),
  ]);
}

/**
 * Where a point of the picture lies in the bay.
 * @param {Quad} quad
 * @param {Point} point
 * @returns {Point} u and v
 */
export function within(quad, point) {
  return apply(invert(unitTo(quad)), point);
}

/**
 * The least distance two dividers keep.
 * @param {Quad} quad the bay
 * @param {number} cells in the row
 */
export function leastGap(quad, cells) {
  const width = Math.hypot(quad[1][0] - quad[0][0], quad[1][1] - quad[0][1]);
  return Math.min(0.5 / cells, Math.max(MIN_PIXELS / Math.max(width, 1), 0.2 / cells));
}

/**
 * Move one divider, which pins it; what is unpinned around it follows.
 * @param {Span} row
 * @param {number} index of the divider
 * @param {number} t where it is to be, as drawn (after the trim)
 * @param {number} least distance to its neighbours, as leastGap says
 * @returns {Divider[]}
 */
export function moveDivider(row, index, t, least) {
  const u = untrimmed(Math.min(0.999, Math.max(0.001, t)), row.trim);
  const pinnedBefore = row.dividers.findLastIndex((d, i) => i < index && d.pinned);
  const after = row.dividers.findIndex((d, i) => i > index && d.pinned);
  const low = (pinnedBefore < 0 ? 0 : row.dividers[pinnedBefore].u) + least * (index - pinnedBefore);
  const pinnedAfter = after < 0 ? row.dividers.length : after;
  const high = (after < 0 ? 1 : row.dividers[after].u) - least * (pinnedAfter - index);
  const placed = Math.min(Math.max(u, Math.min(low, high)), Math.max(low, high));
  const next = [...row.dividers];
  next[index] = { ...next[index], u: placed, pinned: true, guessed: false };
  return spread(next);
}

/**
 * Move one end of a divider: goods that lean.
 * @param {Span} row
 * @param {number} index
 * @param {"top"|"bottom"} end
 * @param {number} t where that end is to be, as drawn
 * @param {number} least distance to its neighbours
 * @returns {Divider[]}
 */
export function leanDivider(row, index, end, t, least) {
  const edges = boundaries(row);
  const low = edges[index][end] + least, high = edges[index + 2][end] - least;
  const moved = { ...edges[index + 1], [end]: Math.min(Math.max(t, low), Math.max(low, high)) };
  const middle = (moved.top + moved.bottom) / 2;
  const next = [...row.dividers];
  next[index] = {
    u: untrimmed(middle, row.trim), lean: moved.bottom - moved.top, pinned: true, guessed: false,
  };
  return spread(next);
}

/**
 * Another number of cells; nothing that was set by hand survives where it has no meaning any more.
 * @param {Span} row
 * @param {number} cells
 * @returns {Divider[]}
 */
export function recount(row, cells) {
  return row.dividers.length === cells - 1 ? row.dividers : equalDividers(cells);
}
