// What people do to slots, as functions from one state to the next.

import * as divide from "../geom/divide.js";
import { centre, distance, isConvex, shifted } from "../geom/quad.js";
import { freshKey, newCell } from "./state.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./state.js").Slot} Slot */
/** @typedef {import("./state.js").Row} Row */
/** @typedef {import("./state.js").Bay} Bay */
/** @typedef {import("./state.js").Cell} Cell */
/** @typedef {import("./state.js").Loose} Loose */
/** @typedef {import("../geom/homography.js").Point} Point */
/** @typedef {import("../geom/homography.js").Quad} Quad */
/** @typedef {{rows: number, columns: number, gap: number}} Counts */

/**
 * @param {State} state
 * @param {string} key of a bay
 * @param {(bay: Bay) => Bay} change
 * @returns {State}
 */
export function changeBay(state, key, change) {
  return { ...state, bays: state.bays.map((bay) => (bay.key === key ? change(bay) : bay)) };
}

/**
 * @param {State} state
 * @param {string} key of a bay
 * @param {number} r the row; -1 = every row
 * @param {(row: Row) => Row} change
 * @returns {State}
 */
export function changeRow(state, key, r, change) {
  return changeBay(state, key, (bay) => ({
    ...bay, rows: bay.rows.map((row, index) => (r < 0 || index === r ? change(row) : row)),
  }));
}

/**
 * @param {State} state
 * @param {Quad} quad
 * @param {Counts} counts
 * @returns {{state: State, key: string}} key of the new bay
 */
export function addBay(state, quad, counts) {
  const bay = { key: freshKey(), quad, rows: newRows(counts) };
  return { state: { ...state, bays: [...state.bays, bay], draft: null }, key: bay.key };
}

/** @param {Counts} counts @returns {Row[]} */
function newRows({ rows, columns, gap }) {
  return divide.rowSpans(rows, gap).map((v) => ({
    v, trim: 1, dividers: divide.equalDividers(columns),
    cells: Array.from({ length: columns }, () => newCell()),
  }));
}

/**
 * Another number of rows and columns; names stay with their row and column.
 * @param {State} state
 * @param {string} key
 * @param {{rows: number, columns: number|null, gap: number}} counts columns: null = each row its own
 */
export function setCounts(state, key, { rows, columns, gap }) {
  return changeBay(state, key, (bay) => {
    const last = bay.rows[bay.rows.length - 1];
    const fresh = newRows({ rows, columns: columns ?? last.cells.length, gap });
    const same = rows === bay.rows.length;
    return notBare({ ...bay, rows: fresh.map((row, r) => {
      const old = bay.rows[r];
      return old ? withColumns({ ...old, v: same ? old.v : row.v }, columns ?? old.cells.length) : row;
    }) });
  });
}

/** @param {State} state @param {string} key @param {number} r @param {number} columns */
export function setRowColumns(state, key, r, columns) {
  return changeBay(changeRow(state, key, r, (row) => withColumns(row, columns)), key, notBare);
}

/** A bay of nothing but holes could not be seen: it holds slots anew. @param {Bay} bay @returns {Bay} */
function notBare(bay) {
  if (nonEmpty([bay]).length) return bay;
  return { ...bay, rows: bay.rows.map((row) => ({ ...row, cells: row.cells.map(() => newCell()) })) };
}

/** A hole stays a hole. @param {Row} row @param {number} columns @returns {Row} */
function withColumns(row, columns) {
  const cells = Array.from({ length: columns }, (_, c) => (c < row.cells.length ? row.cells[c] : newCell()));
  return { ...row, dividers: divide.recount(row, columns), cells };
}

/** @param {State} state @param {string} key @param {number} gap */
export function setGap(state, key, gap) {
  return changeBay(state, key, (bay) => {
    const spans = divide.rowSpans(bay.rows.length, gap);
    return { ...bay, rows: bay.rows.map((row, r) => ({ ...row, v: spans[r] })) };
  });
}

/** Pins, leans and trim are forgotten. @param {State} state @param {string} key @param {number} r */
export function equalise(state, key, r) {
  return changeRow(state, key, r, (row) => ({
    ...row, trim: 1, dividers: divide.equalDividers(row.cells.length),
  }));
}

/**
 * @param {State} state
 * @param {string} key
 * @param {{v: [number, number], u: number[], found: boolean[]}[]} rows
 */
export function applySuggestion(state, key, rows) {
  return changeBay(state, key, (bay) => ({
    ...bay,
    rows: rows.map(({ v, u, found }, r) => {
      const old = bay.rows[r] ?? { v, trim: 1, dividers: [], cells: [] };
      const columns = u.length - 1;
      const dividers = u.slice(1, -1).map((at, i) => divide.divider(at, true, !found[i]));
      return { ...withColumns(old, columns), v, trim: 1, dividers };
    }),
  }));
}

/**
 * @param {Bay} bay
 * @param {number} r
 * @param {0|1} end 0 the row's top, 1 its bottom
 * @param {number} v
 * @param {boolean} both
 * @returns {Bay}
 */
export function moveRail(bay, r, end, v, both) {
  const spans = divide.moveSpan(bay.rows.map((row) => row.v), r, end, v, both);
  return { ...bay, rows: bay.rows.map((row, i) => ({ ...row, v: spans[i] })) };
}

/**
 * Take slots out of their rows: from now on they are moved by themselves.
 * @param {State} state
 * @param {Slot[]} slots
 * @returns {State}
 */
export function detach(state, slots) {
  const bound = slots.filter((slot) => slot.bay);
  if (!bound.length) return state;
  const quads = new Map(bound.map((slot) => [slot.key, slot.quad]));
  /** @type {Loose[]} */
  const loose = [];
  const bays = state.bays.map((bay) => ({
    ...bay,
    rows: bay.rows.map((row) => ({
      ...row,
      cells: row.cells.map((cell) => {
        const quad = cell && quads.get(cell.key);
        if (cell && quad) loose.push({ ...cell, quad });
        return quad ? null : cell;
      }),
    })),
  }));
  return { ...state, bays: nonEmpty(bays), loose: [...state.loose, ...loose] };
}

/** @param {Bay[]} bays @returns {Bay[]} those that still hold a slot */
function nonEmpty(bays) {
  return bays.filter((bay) => bay.rows.some((row) => row.cells.some(Boolean)));
}

/**
 * @param {State} state
 * @param {Set<string>} keys of loose slots
 * @param {(quad: Quad) => Quad} change
 * @returns {State}
 */
export function changeLoose(state, keys, change) {
  return { ...state, loose: state.loose.map((slot) =>
    (keys.has(slot.key) ? { ...slot, quad: change(slot.quad) } : slot)) };
}

/** @param {State} state @param {Slot[]} slots @param {number} dx @param {number} dy */
export function moveSlots(state, slots, dx, dy) {
  const keys = new Set(slots.map((slot) => slot.key));
  return changeLoose(detach(state, slots), keys, (quad) => shifted(quad, dx, dy));
}

/** @param {State} state @param {Slot[]} slots @returns {State} */
export function remove(state, slots) {
  const keys = new Set(slots.map((slot) => slot.key));
  const bays = state.bays.map((bay) => ({
    ...bay,
    rows: bay.rows.map((row) => ({
      ...row, cells: row.cells.map((cell) => (cell && keys.has(cell.key) ? null : cell)),
    })),
  }));
  return { ...state, bays: nonEmpty(bays), loose: state.loose.filter(({ key }) => !keys.has(key)) };
}

/**
 * A slot becomes two, side by side.
 * @param {State} state
 * @param {Slot} slot
 * @returns {State}
 */
export function split(state, slot) {
  if (slot.bay) {
    return changeRow(state, slot.bay.key, slot.r, (row) => {
      const bounds = [0, ...row.dividers.map(({ u }) => u), 1];
      const middle = divide.divider((bounds[slot.c] + bounds[slot.c + 1]) / 2, true);
      const fixed = row.dividers.map((d, i) =>
        (i === slot.c || i === slot.c - 1 ? { ...d, pinned: true } : d));
      return {
        ...row,
        dividers: [...fixed.slice(0, slot.c), middle, ...fixed.slice(slot.c)],
        cells: [...row.cells.slice(0, slot.c + 1), newCell(), ...row.cells.slice(slot.c + 1)],
      };
    });
  }
  const [left, right] = divide.divide(slot.quad, [0, 0.5, 1], [[0, 1]]);
  return { ...state, loose: state.loose.flatMap((other) => (other.key === slot.key
    ? [{ ...other, quad: left }, { ...newCell(), quad: right }] : [other])) };
}

/**
 * The shelf's, or the loose slots', right side becomes their top: where a camera hangs on its side.
 * @param {State} state
 * @param {string|null} bay
 * @param {Set<string>} keys of loose slots
 * @returns {State}
 */
export function turned(state, bay, keys) {
  const quarter = (/** @type {Quad} */ [a, b, c, d]) => /** @type {Quad} */ ([b, c, d, a]);
  return {
    ...state,
    bays: state.bays.map((one) => (one.key === bay ? { ...one, quad: quarter(one.quad) } : one)),
    loose: state.loose.map((one) => (keys.has(one.key) ? { ...one, quad: quarter(one.quad) } : one)),
  };
}

/**
 * Slots become one; it keeps the first one's name. Neighbours in a row stay in their row.
 * @param {State} state
 * @param {Slot[]} slots two or more
 * @returns {State|null} null where they do not make one convex slot
 */
export function merge(state, slots) {
  const [first] = slots;
  const cells = slots.map((slot) => slot.c).sort((a, b) => a - b);
  const inRow = first.bay && slots.every((slot) => slot.bay === first.bay && slot.r === first.r) &&
    cells.every((c, i) => c === cells[0] + i);
  if (first.bay && inRow) {
    const from = cells[0], to = cells[cells.length - 1];
    return changeRow(state, first.bay.key, first.r, (row) => ({
      ...row,
      dividers: row.dividers.filter((_, i) => i < from || i >= to)
        .map((d, i) => (i === from || i === from - 1 ? { ...d, pinned: true } : d)),
      cells: row.cells.filter((_, c) => c <= from || c > to),
    }));
  }
  const quad = joined(slots.map((slot) => slot.quad));
  if (!isConvex(quad)) return null;
  const cell = { key: first.key, id: state.loose.find(({ key }) => key === first.key)?.id ?? first.id,
    name: first.name, sku: first.sku, priority: first.priority };
  const rest = remove(state, slots);
  return { ...rest, loose: [...rest.loose, { ...cell, quad }] };
}

/**
 * @param {Quad[]} quads of which the first one says where the top is
 * @returns {Quad} from the outer edge of the one that comes first to that of the last, left to right
 * or top to bottom
 */
function joined(quads) {
  const [first] = quads;
  const alike = quads.map((quad) => turnedLike(quad, first));
  const [across, down] = [first[1], first[3]].map((end) => {
    const at = (/** @type {Quad} */ quad) => dot(first[0], end, centre(quad)) / distance(first[0], end);
    const order = [...alike].sort((a, b) => at(a) - at(b));
    const [a, b] = [order[0], order[order.length - 1]];
    return { a, b, spread: at(b) - at(a) };
  });
  return across.spread >= down.spread
    ? [across.a[0], across.b[1], across.b[2], across.a[3]]
    : [down.a[0], down.a[1], down.b[2], down.b[3]];
}

/** A quad with its corners from where the other one's begin. @param {Quad} quad @param {Quad} other */
function turnedLike(quad, other) {
  const quarters = [0, 1, 2, 3].map((k) => /** @type {Quad} */ ([...quad.slice(k), ...quad.slice(0, k)]));
  const along = (/** @type {Point} */ p) => dot(other[0], other[1], p);
  const alike = (/** @type {Quad} */ [a, b]) => (along(b) - along(a)) / distance(a, b); // by angle, not by length
  return quarters.reduce((best, one) => (alike(one) > alike(best) ? one : best));
}

/** How far p lies in the direction from a to b, times their distance. @param {Point} a @param {Point} b @param {Point} p */
function dot(a, b, p) {
  return (b[0] - a[0]) * (p[0] - a[0]) + (b[1] - a[1]) * (p[1] - a[1]);
}

/**
 * Copies beside the originals, to their right, where they fit; in the same perspective.
 * @param {State} state
 * @param {Slot[]} slots
 * @param {import("../geom/quad.js").Size} picture
 * @returns {{state: State, keys: string[]}}
 */
export function duplicate(state, slots, { width, height }) {
  const copies = slots.map((slot) => {
    const [tl, tr, br, bl] = slot.quad;
    const dx = ((tr[0] - tl[0]) + (br[0] - bl[0])) / 2, dy = ((tr[1] - tl[1]) + (br[1] - bl[1])) / 2;
    const [axis, size] = Math.abs(dx) >= Math.abs(dy) ? [0, width] : [1, height]; // it may rise out of the picture a little
    const fits = (/** @type {1|-1} */ side) => slot.quad.every((p) => {
      const at = p[axis] + side * (axis ? dy : dx);
      return at >= 0 && at <= size;
    });
    const side = fits(1) || !fits(-1) ? 1 : -1;
    return { ...newCell({ sku: slot.sku, name: slot.name, priority: slot.priority }),
      quad: shifted(slot.quad, side * dx, side * dy) };
  });
  return { state: { ...state, loose: [...state.loose, ...copies] }, keys: copies.map(({ key }) => key) };
}

/**
 * @param {State} state
 * @param {Map<string, Partial<Cell>>} labels by slot key
 * @returns {State}
 */
export function relabel(state, labels) {
  const change = (/** @type {any} */ cell) =>
    (cell && labels.has(cell.key) ? { ...cell, ...labels.get(cell.key) } : cell);
  return {
    ...state,
    bays: state.bays.map((bay) => ({
      ...bay, rows: bay.rows.map((row) => ({ ...row, cells: row.cells.map(change) })),
    })),
    loose: state.loose.map(change),
  };
}

/**
 * The next row below: it shares the upper row's lower edge and its counts.
 * @param {Quad} above
 * @param {Point[]} taps its two lower corners, in any order
 * @returns {Quad}
 */
export function rowBelow(above, taps) {
  const [a, b] = taps;
  const quad = /** @type {Quad} */ ([above[3], above[2], a, b]);
  return isConvex(quad) ? quad : [above[3], above[2], b, a];
}
