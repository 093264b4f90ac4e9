// Perspective maps of the plane: 3 × 3 matrices in row order that take [x, y] to [x′, y′].

/** @typedef {[number, number]} Point */
/** @typedef {[Point, Point, Point, Point]} Quad  top left, top right, bottom right, bottom left */
/** @typedef {[number, number, number, number, number, number, number, number, number]} Matrix */

/** @type {Matrix} */
export const IDENTITY = [1, 0, 0, 0, 1, 0, 0, 0, 1];

/**
 * The map from the unit square to a quad: (0,0) (1,0) (1,1) (0,1) go to its corners in order.
 * @param {Quad} quad
 * @returns {Matrix}
 * @throws {RangeError} where three corners lie on a line
 */
export function unitTo(quad) {
  const [[x0, y0], [x1, y1], [x2, y2], [x3, y3]] = quad;
  const dx1 = x1 - x2, dx2 = x3 - x2, sx = x0 - x1 + x2 - x3;
  const dy1 = y1 - y2, dy2 = y3 - y2, sy = y0 - y1 + y2 - y3;
  const determinant = dx1 * dy2 - dx2 * dy1;
  if (!(Math.abs(determinant) > 1e-12)) throw new RangeError("the quad has no area");
  const g = (sx * dy2 - dx2 * sy) / determinant;
  const h = (dx1 * sy - sx * dy1) / determinant;
  return [x1 - x0 + g * x1, x3 - x0 + h * x3, x0, y1 - y0 + g * y1, y3 - y0 + h * y3, y0, g, h, 1];
}

/**
 * @param {Matrix} m
 * @param {Point} point
 * @returns {Point}
 */
export function apply(m, [x, y]) {
  const w = m[6] * x + m[7] * y + m[8];
  return [(m[0] * x + m[1] * y + m[2]) / w, (m[3] * x + m[4] * y + m[5]) / w];
}

/**
 * @param {Matrix} a
 * @param {Matrix} b
 * @returns {Matrix} first b, then a
 */
export function compose(a, b) {
  const product = [];
  for (let row = 0; row < 3; row++) {
    for (let column = 0; column < 3; column++) {
      let sum = 0;
      for (let k = 0; k < 3; k++) sum += a[3 * row + k] * b[3 * k + column];
      product.push(sum);
    }
  }
  return /** @type {Matrix} */ (product);
}

/**
 * The adjugate: the inverse up to a factor, which a perspective map does not notice.
 * @param {Matrix} m
 * @returns {Matrix}
 */
export function invert(m) {
  const [a, b, c, d, e, f, g, h, i] = m;
  return [
    e * i - f * h, c * h - b * i, b * f - c * e,
    f * g - d * i, a * i - c * g, c * d - a * f,
    d * h - e * g, b * g - a * h, a * e - b * d,
  ];
}

/**
 * The map that takes one quad to another, corner to corner.
 * @param {Quad} from
 * @param {Quad} to
 * @returns {Matrix}
 */
export function between(from, to) {
  return compose(unitTo(to), invert(unitTo(from)));
}

/**
 * The same map in other units: fractions of a picture become pixels.
 * @param {number[][]} rows the 3 × 3 map of fractions
 * @param {number} width of the picture in pixels
 * @param {number} height
 * @returns {Matrix}
 */
export function inPixels(rows, width, height) {
  return stretched(/** @type {Matrix} */ (rows.flat()), width, height);
}

/**
 * And back.
 * @param {Matrix} m the map of pixels
 * @param {number} width of the picture in pixels
 * @param {number} height
 * @returns {Matrix}
 */
export function inFractions(m, width, height) {
  return stretched(m, 1 / width, 1 / height);
}

/** @param {Matrix} m @param {number} x factor @param {number} y factor @returns {Matrix} */
function stretched(m, x, y) {
  return compose([x, 0, 0, 0, y, 0, 0, 0, 1], compose(m, [1 / x, 0, 0, 0, 1 / y, 0, 0, 0, 1]));
}

/**
 * What a map does to the middle of a picture, as edge/drawing/align.py tells it.
 * @param {Matrix} m of pixels
 * @param {number} width of the picture in pixels
 * @param {number} height
 * @returns {{moved: number, turned: number, scale: number}} moved: in picture widths; turned: degrees, clockwise
 */
export function movement(m, width, height) {
  const x = width / 2, y = height / 2;
  const middle = apply(m, [x, y]), right = apply(m, [x + 1, y]), below = apply(m, [x, y + 1]);
  const a = right[0] - middle[0], b = right[1] - middle[1], c = below[0] - middle[0], d = below[1] - middle[1];
  return { moved: Math.hypot(middle[0] - x, middle[1] - y) / width,
    turned: Math.atan2(b, a) * 180 / Math.PI, scale: Math.sqrt(Math.abs(a * d - b * c)) };
}
