// What is drawn: bays divided into rows and cells, and loose slots. Plain data that is never
// changed in place; quads are in pixels of the picture. And the slots that follow from it.

import { apply, IDENTITY } from "../geom/homography.js";
import { cellQuads } from "../geom/divide.js";
import { distance } from "../geom/quad.js";
import { regrouped } from "../geom/regroup.js";
import { defaultPattern, filled, free, ID, numbered, readingRows } from "../geom/naming.js";

/** @typedef {import("../geom/homography.js").Point} Point */
/** @typedef {import("../geom/homography.js").Quad} Quad */
/** @typedef {import("../geom/homography.js").Matrix} Matrix */
/** @typedef {import("../geom/naming.js").Naming} Naming */
/** @typedef {import("../geom/divide.js").Span} Span */
/**
 * @typedef {object} Cell
 * @property {string} key ours alone, for as long as the page lives
 * @property {string} id "" = as the pattern says
 * @property {string} name "" = as the pattern says
 * @property {string} sku
 * @property {number|null} priority
 */
/** @typedef {Span & {cells: (Cell|null)[]}} Row null is a hole: no slot there */
/** @typedef {{key: string, quad: Quad, rows: Row[]}} Bay */
/** @typedef {Cell & {quad: Quad}} Loose */
/** @typedef {"bay"|"slot"|"row"} Tool */
/**
 * @typedef {object} State
 * @property {Bay[]} bays
 * @property {Loose[]} loose
 * @property {Naming} naming
 * @property {{tool: Tool, points: Point[]}|null} draft taps of a shape that is not closed yet
 * @property {Matrix} moved where realigning has taken it so far, in fractions of the picture
 */
/**
 * @typedef {object} Slot a slot as it will be saved, and where it comes from
 * @property {string} key
 * @property {string} id
 * @property {string} name
 * @property {string} sku
 * @property {number|null} priority
 * @property {Quad} quad
 * @property {Bay|null} bay
 * @property {number} r row within its bay, else -1
 * @property {number} c cell within its row, else -1
 * @property {number} row as people count it
 * @property {number} column
 */
/** @typedef {{camera: string, width: number, height: number, otherIds: Set<string>}} Frame */

const LAST_DIGITS = 3e-5; // of the picture's longer side: a planogram has five decimals
const slackOf = (/** @type {Frame} */ { width, height }) => LAST_DIGITS * Math.max(width, height);

let issued = 0;

/** @returns {string} */
export function freshKey() {
  issued += 1;
  return `${Date.now().toString(36)}${issued.toString(36)}`;
}

/**
 * @param {Partial<Cell>} [known]
 * @returns {Cell}
 */
export function newCell(known = {}) {
  return { id: "", name: "", sku: "", priority: null, ...known, key: freshKey() };
}

/**
 * @param {Iterable<string>} taken ids of other cameras
 * @param {string} name pattern of names, in the page's language
 * @returns {State}
 */
export function emptyState(taken, name) {
  return {
    bays: [], loose: [], draft: null, moved: IDENTITY,
    naming: {
      id: defaultPattern(taken), name, firstRow: 1, firstColumn: 1,
      rightToLeft: false, bottomUp: false, zigzag: false,
    },
  };
}

/**
 * All slots in reading order: bays as they were drawn, then what is loose.
 * @param {State} state
 * @param {Frame} frame
 * @returns {Slot[]}
 */
export function slotsOf(state, frame) {
  const places = placed(state);
  const taken = new Set(frame.otherIds);
  for (const { cell } of places) if (cell.id) taken.add(cell.id);
  return places.map(({ cell, quad, bay, r, c, place }, index) => {
    const { row, col } = numbered(place, state.naming);
    const values = { row, col, n: index + 1, camera: frame.camera };
    const id = cell.id || free(filled(state.naming.id, values), taken);
    taken.add(id);
    const name = cell.name || filled(state.naming.name, values) || id;
    return { key: cell.key, id, name, sku: cell.sku, priority: cell.priority,
      quad, bay, r, c, row, column: col };
  });
}

/**
 * @param {Slot[]} slots
 * @param {Frame} frame
 * @returns {Map<string, "id_wrong"|"id_taken">} by slot key
 */
export function labelProblems(slots, frame) {
  const found = new Map(), seen = new Set(frame.otherIds);
  for (const { key, id } of slots) {
    if (!ID.test(id)) found.set(key, "id_wrong");
    else if (seen.has(id)) found.set(key, "id_taken");
    seen.add(id);
  }
  return found;
}

/** @param {State} state */
function placed(state) {
  const looseRows = readingRows(state.loose.map((slot) => slot.quad));
  const rows = state.bays.reduce((sum, bay) => sum + bay.rows.length, 0) + looseRows.length;
  /** @type {{cell: Cell, quad: Quad, bay: Bay|null, r: number, c: number, place: import("../geom/naming.js").Place}[]} */
  const found = [];
  let above = 0;
  for (const bay of state.bays) {
    bay.rows.forEach((row, r) => {
      const quads = cellQuads(bay.quad, row);
      row.cells.forEach((cell, c) => {
        const place = { row: above + r, column: c, rows, columns: row.cells.length };
        if (cell) found.push({ cell, quad: quads[c], bay, r, c, place });
      });
    });
    above += bay.rows.length;
  }
  looseRows.forEach((row, r) => row.forEach((index, column) => {
    const cell = state.loose[index];
    const place = { row: above + r, column, rows, columns: row.length };
    found.push({ cell, quad: cell.quad, bay: null, r: -1, c: -1, place });
  }));
  return found;
}

/**
 * The planogram's slots, those of one shelf as a bay again.
 * @param {State} state
 * @param {{id: string, name: string, sku: string|null, priority: number|null, quad: Quad}[]} slots quads in fractions
 * @param {Frame} frame
 * @returns {State}
 */
export function withPlan(state, slots, frame) {
  const quads = slots.map(({ quad }) => scaled(quad, frame.width, frame.height));
  const cells = slots.map(({ id, name, sku, priority }) =>
    newCell({ id, name, sku: sku ?? "", priority: priority ?? null }));
  const held = new Set();
  const bays = regrouped(quads, slackOf(frame)).map(({ quad, rows }) => ({
    key: freshKey(), quad,
    rows: rows.map((row) => ({ ...row, cells: row.cells.map((index) => {
      if (index === null) return null;
      held.add(index);
      return cells[index];
    }) })),
  }));
  const loose = cells.map((cell, index) => ({ ...cell, quad: quads[index] })).filter((_, index) => !held.has(index));
  return { ...state, bays, loose, draft: null };
}

/**
 * Slots as the planogram wants them: fractions of the picture, five decimals. One that nobody
 * moved keeps its digits: a bay that was found again draws it a hair beside.
 * @param {Slot[]} slots
 * @param {Frame} frame
 * @param {{id: string, quad: Quad}[]} before what the planogram holds
 */
export function asPlan(slots, frame, before) {
  const known = new Map(before.map(({ id, quad }) => [id, quad]));
  const slack = slackOf(frame);
  return slots.map(({ id, name, sku, priority, quad }) => {
    const old = known.get(id);
    const still = old && scaled(old, frame.width, frame.height).every((corner, i) => distance(corner, quad[i]) <= slack);
    return { id, name, sku: sku || null, priority, quad: still ? old : fractions(quad, frame) };
  });
}

/**
 * @param {Quad} quad in pixels
 * @param {{width: number, height: number}} frame
 * @returns {Quad}
 */
export function fractions(quad, { width, height }) {
  const part = (/** @type {number} */ x, /** @type {number} */ size) =>
    Math.min(1, Math.max(0, Math.round((x / size) * 1e5) / 1e5));
  return /** @type {Quad} */ (quad.map(([x, y]) => [part(x, width), part(y, height)]));
}

/**
 * @param {Quad} quad
 * @param {number} x factor
 * @param {number} y factor
 * @returns {Quad}
 */
export function scaled(quad, x, y) {
  return /** @type {Quad} */ (quad.map((corner) => [corner[0] * x, corner[1] * y]));
}

/**
 * Everything drawn goes where a perspective map takes it; what a bay holds follows its corners.
 * @param {State} state
 * @param {(quad: Quad) => Quad} map
 * @returns {State}
 */
export function mapped(state, map) {
  return {
    ...state,
    bays: state.bays.map((bay) => ({ ...bay, quad: map(bay.quad) })),
    loose: state.loose.map((slot) => ({ ...slot, quad: map(slot.quad) })),
  };
}

/**
 * @param {Matrix} matrix
 * @returns {(quad: Quad) => Quad}
 */
export function mapOf(matrix) {
  return (quad) => /** @type {Quad} */ (quad.map((corner) => apply(matrix, corner)));
}
