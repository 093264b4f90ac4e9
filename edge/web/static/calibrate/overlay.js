// The drawing on the picture, in layers of one SVG: slots one can focus, lines of the bay under
// edit, the shape being drawn, handles. Sizes that must not grow with the zoom are divided by it.

import { list, s, set, setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { divide, rowSpans } from "../geom/divide.js";
import { centre, isConvex, ordered, sides } from "../geom/quad.js";
import { rowBelow } from "./edits.js";
import { handlesOf, isHeld, lineName, linesOf, middleOf, ruledBay, targetName } from "./hits.js";
import { percentOf, warningWords } from "./judged.js";

/** @typedef {import("../geom/homography.js").Point} Point */
/** @typedef {import("../geom/homography.js").Quad} Quad */
/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./stage.js").Stage} Stage */
/** @typedef {import("./state.js").Slot} Slot */
/** @typedef {import("./hits.js").Target} Target */
/**
 * @typedef {object} Shown what is drawn beside the state
 * @property {Map<string, {p: number}>} scores by slot key
 * @property {(key: string) => import("./judged.js").Judged} stateOf a slot
 * @property {Map<string, string[]>} warnings by slot key
 * @property {{point: Point, target: Target}|null} hover
 * @property {[Point, Point]|null} diagonal
 * @property {Point|null} cursor of the keyboard
 * @property {import("./loupe.js").Seen|null} seen
 * @property {{from: Quad, to: Quad}[]} ghosts
 * @property {Point[]|null} anchors
 * @property {import("./edits.js").Counts} counts of the next bay
 */

const LABEL_PX = 11;
const PLAIN = 0.1; // probability of being empty below which a slot is plainly stocked
const LETTER_PX = 6.4; // where a slot has no room for its label there is none

export class Overlay {
  /**
   * @param {SVGSVGElement} svg
   * @param {Model} model
   * @param {Stage} stage
   */
  constructor(svg, model, stage) {
    this.model = model;
    this.stage = stage;
    const layer = (/** @type {string} */ name) => s("g", { class: `layer layer--${name}` });
    this.layers = { ghosts: layer("ghosts"), slots: layer("slots"), lines: layer("lines"),
      draft: layer("draft"), handles: layer("handles"), marks: layer("marks") };
    this.outline = s("polygon", { class: "bay" });
    this.edges = s("g");
    this.layers.lines.append(this.outline, this.edges);
    svg.append(...Object.values(this.layers));
  }

  /** @param {Shown} shown */
  render(shown) {
    const { model, layers } = this;
    this.unit = 1 / this.stage.scale;
    list(layers.slots, model.slots, (slot) => slot.key, (slot) => slotElement(slot.key));
    const selected = new Set(model.selection.keys);
    for (const slot of model.slots) this.#slot(slot, shown, selected);
    this.#lines(shown);
    this.#draft(shown);
    this.#handles(shown);
    this.#marks(shown);
    list(layers.ghosts, shown.ghosts.map((ghost, i) => ({ ...ghost, i })), ({ i }) => String(i), ghostElement);
  }

  /** @param {Slot} slot @param {Shown} shown @param {Set<string>} selected */
  #slot(slot, { scores, stateOf, warnings }, selected) {
    const element = /** @type {any} */ (this.layers.slots).__keyed.get(slot.key);
    const score = scores.get(slot.key), warned = warnings.get(slot.key) ?? [];
    set(element, "data-state", stateOf(slot.key));
    set(element, "data-warned", warned.length > 0);
    set(element, "data-bay", slot.bay?.key);
    set(element, "aria-pressed", String(selected.has(slot.key)));
    set(element, "aria-label", [slot.name, slot.id, t("calibrate.place", { row: slot.row, column: slot.column }),
      score ? t("calibrate.p_empty", { p: percentOf(score.p) }) : "", ...warningWords(warned)].filter(Boolean).join(" · "));
    const points = slot.quad.map((corner) => corner.map((value) => value.toFixed(2)).join(",")).join(" ");
    const [halo, face, label] = element.children;
    set(halo, "points", points);
    set(face, "points", points);
    const words = labelOf(this.model.step, slot, score?.p, warned);
    const [top, right, bottom, left] = sides(slot.quad);
    const room = (words.length * LETTER_PX + 4) * this.unit;
    set(label, "visibility", top + bottom > 2 * room && left + right > 36 * this.unit ? null : "hidden");
    const [x, y] = centre(slot.quad);
    set(label, "x", x.toFixed(1));
    set(label, "y", (y + 4 * this.unit).toFixed(1));
    set(label, "font-size", (LABEL_PX * this.unit).toFixed(2));
    setText(label, words);
  }

  /** @param {Shown} shown */
  #lines({ hover }) {
    const { selection } = this.model;
    const bay = ruledBay(this.model);
    const lines = bay ? linesOf(bay) : [];
    set(this.outline, "points", bay ? text(bay.quad) : null);
    list(this.edges, lines, (one) => `${one.key}/${lineName(one)}`, edgeElement);
    const held = lines.findIndex((one) => isHeld(selection, one));
    const under = targetName(hover?.target);
    lines.forEach((one, index) => {
      this.#edge(this.edges.children[index], one, index === held, targetName(one) === under);
      set(this.edges.children[index], "tabindex", index === Math.max(0, held) ? 0 : -1);
    });
  }

  /** @param {Element} element @param {import("./hits.js").Line} edge @param {boolean} held @param {boolean} under */
  #edge(element, edge, held, under) {
    const { kind, a, b, r, i } = edge;
    const { pinned = false, guessed = false } = (kind === "divider" && this.model.bay?.rows[r].dividers[i]) || {};
    const [halo, stroke, pin] = element.children;
    for (const part of [halo, stroke]) {
      for (const [name, value] of Object.entries({ x1: a[0], y1: a[1], x2: b[0], y2: b[1] })) set(part, name, value);
    }
    set(stroke, "class", `${kind}${guessed ? " divider--guessed" : ""}${held ? " is-held" : ""}${under ? " is-under" : ""}`);
    const [x, y] = middleOf(edge);
    set(pin, "class", pinned && !guessed ? "pin" : null);
    set(pin, "cx", x);
    set(pin, "cy", y);
    set(pin, "r", pinned && !guessed ? 2.6 * (this.unit ?? 1) : 0);
    const at = Math.round(kind === "divider" ? x : y);
    set(element, "aria-valuenow", at);
    set(element, "aria-valuemax", kind === "divider" ? this.model.frame.width : this.model.frame.height);
    set(element, "aria-valuetext", t("calibrate.pixels", { n: at }));
  }

  /** @param {Shown} shown */
  #draft({ hover, diagonal, counts, cursor }) {
    const { state, tool } = this.model;
    const taps = state.draft?.points ?? [];
    const above = tool === "row" ? this.model.above : null;
    const points = above ? [above.quad[3], above.quad[2], ...taps] : taps;
    const last = above?.rows[above.rows.length - 1];
    const cells = tool === "slot" ? { ...counts, rows: 1, columns: 1 }
      : last ? { ...counts, rows: 1, columns: last.cells.length } : counts;
    const parts = [];
    if (diagonal) {
      const [[ax, ay], [bx, by]] = diagonal;
      parts.push(...grid(ordered([[ax, ay], [bx, ay], [bx, by], [ax, by]]), cells));
    } else if (tool && points.length) {
      const at = cursor ?? (hover && !hover.target ? hover.point : null);
      const all = at && points.length < 4 ? [...points, at] : points;
      if (all.length === 4) {
        const quad = above ? rowBelow(above.quad, all.slice(2)) : ordered(all);
        parts.push(...(isConvex(quad) ? grid(quad, cells)
          : [s("polygon", { class: "draft draft--wrong", points: text(quad) })]));
      } else parts.push(s("polyline", { class: "draft", points: text(all) }));
    }
    if (cursor && tool) parts.push(...cross(cursor, 14 * this.unit));
    this.layers.draft.replaceChildren(...parts);
  }

  /** @param {Shown} shown */
  #handles({ hover, seen, anchors }) {
    const handles = handlesOf(this.model, this.stage.scale, anchors);
    const { selection } = this.model;
    list(this.layers.handles, handles, ({ kind, key, i, r, end }) => [kind, key, i, r, end].join("/"), handleElement);
    handles.forEach((handle, index) => {
      const element = /** @type {any} */ (this.layers.handles.children[index]);
      const [x, y] = handle.at, { unit = 1 } = this;
      set(element, "transform", `translate(${x.toFixed(2)} ${y.toFixed(2)}) scale(${unit.toFixed(5)})`);
      const held = (handle.kind === "corner" || handle.kind === "loose") && selection.corner === handle.i;
      const under = targetName(hover?.target) === targetName(handle);
      set(element, "data-held", Boolean(held || (seen && seen.point[0] === x && seen.point[1] === y)));
      set(element, "data-under", under);
      if (handle.kind === "lean") {
        // of all ends only those of the divider in hand are on the way of Tab
        const near = selection.divider === handle.i && selection.r === handle.r;
        set(element, "tabindex", near ? 0 : null);
        set(element, "aria-hidden", near ? null : "true");
      }
    });
  }

  /** @returns {Quad[]} the shelf's, or else the selected slots' */
  #inHand() {
    const bay = ruledBay(this.model);
    return bay ? [bay.quad] : this.model.selected.map(({ quad }) => quad);
  }

  /** @param {Shown} shown */
  #marks({ seen }) {
    const parts = [];
    if (seen?.snap) {
      if (seen.snap.edge) parts.push(line("snap", ...seen.snap.edge));
      parts.push(s("circle", { class: "snap", cx: seen.snap.at[0], cy: seen.snap.at[1], r: 5 * (this.unit ?? 1) }));
    }
    for (const quad of this.#inHand().filter(isTurned)) parts.push(line("top-side", quad[0], quad[1]));
    this.layers.marks.replaceChildren(...parts);
  }
}

/** Whether its top is not up in the picture. @param {Quad} quad */
function isTurned([[ax, ay], [bx, by]]) { return bx - ax <= Math.abs(by - ay); }

/** @param {string} key */
function slotElement(key) {
  return s("g", { class: "slot", role: "button", tabindex: "0", "data-key": key },
    s("polygon", { class: "slot__halo" }), s("polygon", { class: "slot__face" }),
    s("text", { class: "slot__label", "text-anchor": "middle", "aria-hidden": "true" }));
}

/** A line that is moved by the arrow keys, as a slider is. @param {import("./hits.js").Line} edge */
function edgeElement({ kind, r, i }) {
  const name = kind === "divider" ? t("calibrate.line.divider", { n: i + 1 }) : t(`calibrate.line.rail_${i}`);
  return s("g", { class: "edge", "data-line": lineName({ kind, r, i }), role: "slider", "aria-valuemin": 0,
    "aria-orientation": kind === "divider" ? "horizontal" : "vertical",
    "aria-label": `${t("calibrate.row_n", { n: r + 1 })} · ${name}` },
  s("line", { class: "edge__halo" }), s("line"), s("circle"));
}

/** @param {{from: Quad, to: Quad}} ghost */
function ghostElement(ghost) {
  const from = s("polygon", { class: "ghost ghost--from" }), to = s("polygon", { class: "ghost ghost--to" });
  const element = s("g", { "aria-hidden": "true" }, from, to);
  element.update = (/** @type {{from: Quad, to: Quad}} */ now) => {
    set(from, "points", text(now.from));
    set(to, "points", text(now.to));
  };
  element.update(ghost);
  return element;
}

/** @param {import("./hits.js").Handle} handle drawn in CSS pixels around its own origin */
function handleElement({ kind, key, i, end }) {
  const focusable = kind === "corner" || kind === "loose" || kind === "anchor";
  const name = kind === "move" ? t("calibrate.handle.move")
    : t(`calibrate.handle.${kind === "lean" ? `lean_${end}` : `corner_${i % 4}`}`);
  const inside = kind === "move"
    ? [s("rect", { class: "handle__dot", x: -11, y: -11, width: 22, height: 22, rx: 7 }),
      s("path", { class: "handle__sign", d: "M0-6.5v13M-6.5 0h13M-2-4.5 0-6.5 2-4.5M-2 4.5 0 6.5 2 4.5M-4.5-2-6.5 0-4.5 2M4.5-2 6.5 0 4.5 2" })]
    : [s("circle", { class: "handle__dot", r: kind === "lean" ? 3.5 : 5.5 })];
  return s("g", { class: `handle handle--${kind}`, "data-key": key, "data-i": i, "data-end": end,
    role: "button", "aria-label": name, ...(focusable ? { tabindex: "0" } : { "aria-hidden": "true" }) },
  s("circle", { class: "handle__halo", r: 20 }), ...inside);
}

/** @param {Quad} quad @param {import("./edits.js").Counts} counts */
function grid(quad, { rows, columns, gap }) {
  const us = Array.from({ length: columns + 1 }, (_, i) => i / columns);
  const cells = isConvex(quad) ? divide(quad, us, rowSpans(rows, gap)) : [];
  return [...cells.map((cell) => s("polygon", { class: "draft draft--cell", points: text(cell) })),
    s("polygon", { class: "draft", points: text(quad) })];
}

/** @param {Point} at @param {number} arm */
function cross([x, y], arm) {
  return [line("cursor", [x - arm, y], [x + arm, y]), line("cursor", [x, y - arm], [x, y + arm])];
}

/** @param {string} name @param {Point} a @param {Point} b */
function line(name, a, b) {
  return s("line", { class: name, x1: a[0], y1: a[1], x2: b[0], y2: b[1] });
}

/** @param {Point[]} points */
function text(points) { return points.map((point) => point.join(",")).join(" "); }

/** @param {number} step @param {Slot} slot @param {number|undefined} p @param {string[]} warned */
function labelOf(step, slot, p, warned) {
  if (step === 3) return slot.id;
  if (warned.length) return "!";
  return p === undefined || p < PLAIN ? "" : `${percentOf(p)}%`; // the colour says enough
}
