// The keyboard: one table for what keys do and for the help that lists them. Single letters are
// off while somebody types into a field.

import { h } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { closing } from "./dialog.js";
import { handlesOf, isHeld, lineName, linesOf } from "./hits.js";
import { NO_PART } from "./model.js";

/** @typedef {import("./main.js").App} App */
/** @typedef {import("../geom/homography.js").Point} Point */
/** @typedef {{keys: string[], words: string, run?: (app: App) => void}} Shortcut */

/** @type {Shortcut[]} */
const SHORTCUTS = [
  { keys: ["B"], words: "calibrate.tool.bay", run: (app) => arm(app, "bay") },
  { keys: ["N"], words: "calibrate.tool.row", run: (app) => arm(app, "row") },
  { keys: ["1"], words: "calibrate.tool.slot", run: (app) => arm(app, "slot") },
  { keys: ["S"], words: "calibrate.suggest", run: ({ actions }) => actions.suggest() },
  { keys: ["E"], words: "calibrate.equal", run: ({ actions }) => actions.equalise() },
  { keys: ["A"], words: "calibrate.split", run: ({ actions }) => actions.split() },
  { keys: ["M"], words: "calibrate.merge", run: ({ actions }) => actions.merge() },
  { keys: ["D"], words: "calibrate.duplicate", run: ({ actions }) => actions.duplicate() },
  { keys: ["R"], words: "calibrate.turn", run: ({ actions }) => actions.turn() },
  { keys: ["Delete", "Backspace"], words: "calibrate.delete", run: (app) => remove(app) },
  { keys: ["[", "]"], words: "calibrate.key.line" },
  { keys: ["{", "}"], words: "calibrate.key.rail" },
  { keys: ["↑ ↓ ← →"], words: "calibrate.key.arrows" },
  { keys: ["Tab"], words: "calibrate.key.tab" },
  { keys: ["Enter"], words: "calibrate.key.enter" },
  { keys: ["Esc"], words: "calibrate.key.escape" },
  { keys: ["G"], words: "calibrate.snap", run: (app) => app.toggleSnap() },
  { keys: ["0"], words: "calibrate.fit", run: ({ stage }) => stage.fit() },
  { keys: ["+"], words: "calibrate.zoom_in", run: ({ stage }) => stage.zoom(1.25) },
  { keys: ["−", "-"], words: "calibrate.zoom_out", run: ({ stage }) => stage.zoom(0.8) },
  { keys: ["Ctrl Z"], words: "calibrate.undo" },
  { keys: ["Ctrl Shift Z", "Ctrl Y"], words: "calibrate.redo" },
  { keys: ["Ctrl V"], words: "calibrate.paste" },
  { keys: ["Ctrl S"], words: "calibrate.save" },
  { keys: ["Shift"], words: "calibrate.key.fine" },
  { keys: ["Alt"], words: "calibrate.key.alt" },
  { keys: ["?"], words: "calibrate.help", run: () => showHelp() },
];
/** @type {Map<string, (app: App) => void>} */
const RUN = new Map(SHORTCUTS.flatMap(({ keys, run }) => (run ? keys.map((key) => /** @type {[string, any]} */ ([key.toLowerCase(), run])) : [])));
/** @type {Record<string, [1|-1, "rail"?]>} */
const LINE_KEYS = { "[": [-1], "]": [1], "{": [-1, "rail"], "}": [1, "rail"] };
/** @type {Record<string, Point>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** @param {App} app */
export function listenToKeys(app) {
  addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") || event.isComposing) return;
    app.stage.element.dataset.by = "keys";
    if (event.ctrlKey || event.metaKey ? command(app, event) : plain(app, event)) event.preventDefault();
  });
}

/** While a Korean keyboard is on, a letter key says a Korean letter or nothing. @param {KeyboardEvent} event */
function keyOf({ key, code }) {
  const other = key === "Process" || (key.length === 1 && key > "~");
  return other && /^Key[A-Z]$/.test(code) ? code.slice(3).toLowerCase() : key.toLowerCase();
}

/** @param {App} app @param {KeyboardEvent} event @returns {boolean} whether it was for us */
function command(app, event) {
  const key = keyOf(event);
  if (key === "s") { app.saving.save(); return true; }
  // A count that was typed is already drawn: undo takes that back, and not just the digits.
  const count = event.target instanceof HTMLElement && event.target.matches(".stepper__value");
  if (isTyping(event.target) && !count) return false;
  if (count && (key === "z" || key === "y")) app.focusStage();
  if (key === "z") { if (event.shiftKey) app.actions.redo(); else app.actions.undo(); return true; }
  if (key === "y") { app.actions.redo(); return true; }
  return false;
}

/** @param {App} app @param {KeyboardEvent} event @returns {boolean} */
function plain(app, event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key === "Escape") return escape(app, target);
  if (event.key === "Enter") return app.realign.active ? accept(app, target) : enter(app, target);
  if (isTyping(target)) return false;
  if (event.key === " " && target.closest(".slot, .edge, .handle")) return enter(app, target);
  if (event.key === " " && target === app.stage.element) return true; // held for panning, not for scrolling
  if (target.closest("select, summary, input")) return false;
  const arrow = ARROWS[event.key];
  if (arrow) return arrows(app, event, target, arrow);
  const step = LINE_KEYS[event.key];
  if (step) return stepLine(app, target, ...step);
  const run = RUN.get(event.key === "=" ? "+" : keyOf(event));
  if (!run) return false;
  run(app);
  return true;
}

/** @param {App} app @param {HTMLElement} target */
function escape(app, target) {
  if (app.pointer.cancel() || app.paste.dismiss()) return true;
  if (app.realign.active) { app.realign.stop(); return true; }
  if (target.closest(".edge")) app.model.select({ ...app.model.selection, ...NO_PART });
  if (target.closest(".edge, .handle")) { app.focusSlot(app.model.selection.keys[0]); return true; }
  if (isTyping(target)) { target.blur(); app.focusStage(); return true; }
  app.cursor = null;
  app.actions.escape();
  return true;
}

/** @param {App} app @param {HTMLElement} target @returns {import("./hits.js").Line|null} that has the focus */
function focusedLine({ model }, target) {
  const name = /** @type {HTMLElement|null} */ (target.closest(".edge"))?.dataset.line;
  return (name && model.bay && linesOf(model.bay).find((line) => lineName(line) === name)) || null;
}

/**
 * From the line that has the focus, or else from the one in hand.
 * @param {App} app @param {HTMLElement} target @param {1|-1} way @param {"rail"} [kind]
 */
function stepLine(app, target, way, kind) {
  const from = focusedLine(app, target);
  if (from) app.actions.hold(from);
  app.actions.stepLine(way, kind);
  app.focusPart(".edge[tabindex='0']");
  return true;
}

/**
 * Enter sets a point where the keyboard's cross is, selects a slot or a line, goes on from a selected
 * slot to its corners and from a line in hand to its ends, and elsewhere to the next step.
 * @param {App} app
 * @param {HTMLElement} target
 */
function enter(app, target) {
  const { model, actions } = app;
  const slot = /** @type {HTMLElement|null} */ (target.closest(".slot"));
  if (slot) {
    const key = slot.dataset.key ?? "";
    const again = model.selection.keys.includes(key);
    if (!again) actions.pick(key, false);
    else app.focusPart(".handle[tabindex]");
    return true;
  }
  const line = focusedLine(app, target);
  if (line) {
    if (isHeld(model.selection, line)) app.focusPart(".handle--lean[tabindex]");
    else actions.hold(line);
    return true;
  }
  if (target.closest("button, a, summary, select, textarea, .handle")) return false;
  if (model.tool && app.cursor && target === app.stage.element) { actions.tap(app.cursor); return true; }
  if (model.tool && model.state.draft) return false;
  app.panel.goOn();
  if (isTyping(target)) app.focusStage();
  return true;
}

/** While the page asks whether to move the slots, Enter moves them. @param {App} app @param {HTMLElement} target */
function accept({ realign }, target) {
  if (target.closest("button, a, summary, select, textarea")) return false;
  realign.accept();
  return true;
}

/**
 * @param {App} app
 * @param {KeyboardEvent} event
 * @param {HTMLElement} target
 * @param {Point} way
 */
function arrows(app, event, target, [x, y]) {
  const { model, actions, stage } = app;
  const far = event.shiftKey ? 10 : event.altKey ? 0.25 : 1;
  if (model.tool) {
    if (target !== stage.element && target !== document.body) return false;
    const from = app.cursor ?? [model.frame.width / 2, model.frame.height / 2];
    app.cursor = app.cursor ? stage.inside([from[0] + x * far, from[1] + y * far]) : /** @type {Point} */ (from);
    stage.reveal(app.cursor);
    model.changed();
    return true;
  }
  const handle = /** @type {HTMLElement|null} */ (target.closest(".handle"));
  if (handle) {
    const i = Number(handle.dataset.i);
    if (app.realign.anchors) {
      const [ax, ay] = app.realign.anchors[i];
      app.realign.moveAnchor(i, [ax + x * far, ay + y * far]);
      return true;
    }
    const { end } = handle.dataset;
    if (end) {
      actions.nudge(x * far, y * far, handlesOf(model, stage.scale, null).find((one) => one.i === i && one.end === end) ?? null);
      return true;
    }
    model.selection = { ...model.selection, ...NO_PART, corner: i };
  } else if (target.closest("button")) return false;
  const slot = /** @type {HTMLElement|null} */ (target.closest(".slot"));
  if (slot && !model.selection.keys.includes(slot.dataset.key ?? "")) actions.pick(slot.dataset.key ?? "", false);
  if (slot) model.selection = { ...model.selection, ...NO_PART };
  const line = focusedLine(app, target);
  if (line && !isHeld(model.selection, line)) actions.hold(line);
  actions.nudge(x * far, y * far);
  return true;
}

/** @param {App} app @param {import("./state.js").Tool} tool */
function arm(app, tool) {
  app.actions.arm(tool);
  app.focusStage(); // the arrow keys move its cross
}

/** @param {App} app */
function remove(app) {
  app.actions.remove();
  app.focusStage(); // what had the focus is gone
}

/** @param {EventTarget|null} target */
function isTyping(target) {
  return target instanceof HTMLElement &&
    target.matches('textarea, input:not([type="range"], [type="checkbox"], [type="file"])');
}

/** The list of all keys. */
export function showHelp() {
  const dialog = h("dialog", { class: "sheet help", "aria-labelledby": "help-title" },
    h("div", { class: "sheet__head" }, h("h2", { id: "help-title" }, t("calibrate.help")), closing(() => dialog.close())),
    h("dl", { class: "help__keys" }, SHORTCUTS.map(({ keys, words }) => h("div", null,
      h("dt", null, keys.filter((key) => key !== "-" && key !== "Backspace").map((key) => h("kbd", null, key))), h("dd", null, t(words))))),
    h("p", { class: "small muted" }, t("calibrate.help_touch")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
