// Ids and names: by a pattern, or from a column of a spreadsheet.

/** @typedef {import("./homography.js").Quad} Quad */
/**
 * @typedef {object} Naming
 * @property {string} id pattern of ids, such as a{row}-{col:02}
 * @property {string} name pattern of names
 * @property {number} firstRow
 * @property {number} firstColumn
 * @property {boolean} rightToLeft
 * @property {boolean} bottomUp
 * @property {boolean} zigzag every second row runs the other way
 */
/** @typedef {{row: number, column: number, rows: number, columns: number}} Place counted from 0 */
/** @typedef {{name: string, sku: string, id?: string}} Line */

export const ID = /^[a-z0-9][a-z0-9_-]*$/;
const FIELD = /\{(row|col|n|camera)(?::0?(\d))?\}/g;
const BARCODE = /^\d{6,14}$/;
/** What a spreadsheet makes of a barcode that it takes for a number: the digits are there, */
const DECIMAL = /^(\d{6,14})[.,]0+$/;
/** or they are lost. */
const ROUNDED = /^\d([.,]\d+)?E\+?\d+$/i;
/** What the first line may call names and product codes, as edge/drawing/goods_list.py reads them. */
const HEADINGS = new Set(("name product productname item itemname 품명 상품명 제품명 상품 제품 품목 품목명 이름 " +
  "sku barcode ean ean13 gtin upc jan code itemcode 바코드 상품코드 제품코드 코드 품번").split(" "));
/** A cell as spreadsheets copy it: where it holds tabs or line breaks it stands in quotes. And what ends it. */
const CELL = /(?: *"([^"]*(?:""[^"]*)*)" *|([^\t\n]*))(\t|\n|$)/y;

/**
 * @param {string} pattern
 * @param {{row: number, col: number, n: number, camera: string}} values
 * @returns {string}
 */
export function filled(pattern, values) {
  return pattern.replace(FIELD, (_, field, digits) => {
    const value = String(values[/** @type {"row"|"col"|"n"|"camera"} */ (field)]);
    return digits ? value.padStart(Number(digits), "0") : value;
  });
}

/**
 * Row and column numbers as people count them.
 * @param {Place} place
 * @param {Naming} naming
 */
export function numbered(place, naming) {
  const turned = naming.zigzag && place.row % 2 === 1;
  const backwards = naming.rightToLeft !== turned;
  const column = backwards ? place.columns - 1 - place.column : place.column;
  const row = naming.bottomUp ? place.rows - 1 - place.row : place.row;
  return { row: row + naming.firstRow, col: column + naming.firstColumn };
}

/**
 * An id that the pattern gives, never one that is taken.
 * @param {string} wanted
 * @param {Set<string>} taken
 */
export function free(wanted, taken) {
  const base = ID.test(wanted) ? wanted : slug(wanted);
  let id = base;
  for (let number = 2; taken.has(id); number++) id = `${base}-${number}`;
  return id;
}

/**
 * What is left of a text as an id.
 * @param {string} text
 */
export function slug(text) {
  const rest = text.normalize("NFKD").toLowerCase().replace(/[^a-z0-9_-]+/g, "-").replace(/^[-_]+|-+$/g, "");
  return rest || "slot";
}

/**
 * The first letter whose pattern gives no id that another camera has.
 * @param {Iterable<string>} taken
 */
export function defaultPattern(taken) {
  const ids = [...taken];
  for (const letter of "abcdefghijklmnopqrstuvwxyz") {
    if (!ids.some((id) => new RegExp(`^${letter}\\d+-`).test(id))) return `${letter}{row}-{col:02}`;
  }
  return "{camera}-{row}-{col:02}";
}

/**
 * Whether the first line names the columns: then they may mean more than names and codes.
 * @param {string} text as pasted
 */
export function isHeading(text) {
  const [first = []] = cells(text.trim().replace(/\r\n?/g, "\n"));
  return first.some((cell) => HEADINGS.has(cell.normalize("NFC").toLowerCase().replace(/[^\p{L}\p{N}]/gu, "")));
}

/**
 * Lines of a spreadsheet without a heading: one column of names, or names and product codes in either order.
 * @param {string} text as pasted
 * @returns {{lines: Line[], rounded: string[]}} empty lines at the end are dropped, within they stay: a slot keeps its
 *   name. rounded: codes that are none any more
 */
export function parsePaste(text) {
  const rows = cells(text.replace(/\r\n?/g, "\n").replace(/\s+$/, ""));
  const width = Math.max(...rows.map((row) => row.length), 0);
  const columns = Array.from({ length: width }, (_, i) => i);
  const isCode = (/** @type {string} */ cell) => BARCODE.test(cell) || ROUNDED.test(cell);
  const codes = columns.map((i) => rows.filter((row) => isCode(row[i] ?? "")).length);
  const isSku = (/** @type {number} */ i) => codes[i] * 2 > rows.filter((row) => row[i]).length; // not every line has one
  const sku = columns.filter(isSku).sort((a, b) => codes[b] - codes[a])[0] ?? -1;
  const name = columns.find((i) => i !== sku) ?? -1;
  const lines = rows.map((row) => ({ name: row[name] ?? "", sku: ROUNDED.test(row[sku] ?? "") ? "" : row[sku] ?? "" }));
  return { lines, rounded: rows.map((row) => row[sku] ?? "").filter((cell) => ROUNDED.test(cell)) };
}

/** @param {string} text @returns {string[][]} a line break within a cell becomes a space */
function cells(text) {
  /** @type {string[][]} */
  const rows = [[]];
  for (let at = 0; ;) {
    CELL.lastIndex = at;
    const [all, quoted, bare, end] = /** @type {RegExpExecArray} */ (CELL.exec(text));
    const cell = quoted === undefined ? bare : quoted.replaceAll('""', '"').replace(/\s*\n\s*/g, " ");
    rows[rows.length - 1].push(cell.trim().replace(DECIMAL, "$1"));
    if (!end) return rows;
    if (end === "\n") rows.push([]);
    at += all.length;
  }
}

/**
 * Rows of loose quads, top to bottom, each from left to right.
 * @param {Quad[]} quads
 * @returns {number[][]} indices
 */
export function readingRows(quads) {
  const boxes = quads.map((quad, index) => {
    const xs = quad.map((p) => p[0]), ys = quad.map((p) => p[1]);
    return { index, x: Math.min(...xs), middle: (Math.min(...ys) + Math.max(...ys)) / 2,
      half: (Math.max(...ys) - Math.min(...ys)) / 2, right: Math.max(...xs) };
  }).sort((a, b) => a.x - b.x);
  /** @type {(typeof boxes)[]} */
  const rows = [];
  for (const box of boxes) { // a row goes on where its last quad ends, so it may slope
    const row = rows.find((candidate) => {
      const last = candidate[candidate.length - 1];
      return Math.abs(last.middle - box.middle) < 0.6 * Math.max(last.half, box.half) &&
        box.x > last.x + 0.4 * (last.right - last.x);
    });
    if (row) row.push(box);
    else rows.push([box]);
  }
  rows.sort((a, b) => mean(a) - mean(b));
  return rows.map((row) => row.map((box) => box.index));
}

/** @param {{middle: number}[]} row */
function mean(row) {
  return row.reduce((sum, box) => sum + box.middle, 0) / row.length;
}
