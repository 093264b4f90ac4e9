// The loupe: the picture's own pixels around a dragged point, in the corner away from the finger,
// with the cross and the edges that move.

/** @typedef {import("../geom/homography.js").Point} Point */
/** @typedef {import("./stage.js").Stage} Stage */
/**
 * @typedef {object} Seen
 * @property {Point} point in the picture
 * @property {Point[]} arms other ends of the edges at that point
 * @property {import("./hits.js").Snapped} snap
 * @property {Point} window where the finger is
 * @property {boolean} lens the loupe is wanted, not only the snap's mark
 * @property {boolean} out the point was kept from leaving the picture
 */

const SIZE = 150; // CSS pixels
const LEAST_ZOOM = 3; // device pixels per pixel of the picture

export class Loupe {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Stage} stage
   */
  constructor(canvas, stage) {
    this.canvas = canvas;
    this.stage = stage;
  }

  /** @param {Seen|null} seen */
  show(seen) {
    this.canvas.hidden = !seen?.lens;
    if (!seen?.lens) return;
    const box = this.stage.element.getBoundingClientRect();
    this.canvas.dataset.side = seen.window[0] - box.left < box.width / 2 ? "right" : "left";
    this.canvas.dataset.out = String(seen.out);
    this.#draw(seen);
  }

  /** @param {Seen} seen */
  #draw({ point, arms, snap }) {
    const { canvas, stage } = this;
    const ratio = devicePixelRatio || 1, side = Math.round(SIZE * ratio);
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const brush = canvas.getContext("2d");
    if (!brush) return;
    const zoom = Math.max(LEAST_ZOOM, 2 * stage.scale * ratio);
    const seenSide = side / zoom, left = point[0] - seenSide / 2, top = point[1] - seenSide / 2;
    brush.clearRect(0, 0, side, side);
    brush.imageSmoothingEnabled = zoom < 4;
    brush.drawImage(stage.picture, left, top, seenSide, seenSide, 0, 0, side, side);
    const style = getComputedStyle(canvas);
    brush.lineWidth = 1.5 * ratio;
    brush.strokeStyle = style.getPropertyValue("--draw-line");
    for (const arm of arms) {
      stroke(brush, [[side / 2, side / 2], [(arm[0] - left) * zoom, (arm[1] - top) * zoom]]);
    }
    if (snap?.edge) {
      brush.strokeStyle = style.getPropertyValue("--draw-snap");
      stroke(brush, snap.edge.map(([x, y]) => /** @type {Point} */ ([(x - left) * zoom, (y - top) * zoom])));
    }
    const arm = side * 0.42, gap = 5 * ratio, middle = side / 2;
    for (const [colour, width] of [[style.getPropertyValue("--draw-halo"), 3 * ratio],
      [style.getPropertyValue(snap ? "--draw-snap" : "--draw-cross"), 1.25 * ratio]]) {
      brush.strokeStyle = String(colour);
      brush.lineWidth = Number(width);
      for (const [x, y] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        stroke(brush, [[middle + x * gap, middle + y * gap], [middle + x * arm, middle + y * arm]]);
      }
    }
  }
}

/** @param {CanvasRenderingContext2D} brush @param {Point[]} points */
function stroke(brush, points) {
  brush.beginPath();
  points.forEach(([x, y], i) => (i ? brush.lineTo(x, y) : brush.moveTo(x, y)));
  brush.stroke();
}
