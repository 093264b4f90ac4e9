// The calibration page: everything is made and wired here.

import "./language.js";
import { h, icon, set } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { languageButton } from "../lib/language.js";
import { ApiError } from "../lib/net.js";
import { staySignedIn } from "../lib/session.js";
import { toast } from "../lib/toast.js";
import { centre } from "../geom/quad.js";
import { Actions } from "./actions.js";
import { Bench } from "./bench.js";
import { Chosen } from "./chosen.js";
import { Crops } from "./crops.js";
import { tool } from "./fields.js";
import { targetName } from "./hits.js";
import { reasonOf } from "./judged.js";
import { listenToKeys, showHelp } from "./keys.js";
import { Loupe } from "./loupe.js";
import { Model } from "./model.js";
import { NameStep } from "./names.js";
import { Overlay } from "./overlay.js";
import { Panel } from "./panel.js";
import { Paste } from "./paste.js";
import { Pointer } from "./pointer.js";
import { Realign } from "./realign.js";
import { Saving } from "./save.js";
import { Scores } from "./scores.js";
import { Stage } from "./stage.js";

/** @typedef {import("../geom/homography.js").Point} Point */

const DRAFT_MS = 300;

export class App {
  model = new Model();
  bench = new Bench(this.model);
  scores = new Scores(this.model, this.bench, () => this.render(), () => this.renew());
  actions = new Actions(this.model, this.bench, { say: (text, error) => this.say(text, error), drawn: () => this.#drawn() });
  /** Where the keyboard sets the next point. @type {Point|null} */
  cursor = null;
  /** @type {import("./overlay.js").Shown["hover"]} */ #hover = null;
  /** @type {[Point, Point]|null} */ #diagonal = null;
  /** @type {import("./loupe.js").Seen|null} */ #seen = null;
  #byTouch = false;
  #frame = 0;
  #draft = 0;

  constructor() {
    this.picture = h("img", { class: "stage__picture", alt: "", draggable: "false", onerror: () => this.#lost() });
    this.old = h("img", { class: "stage__picture stage__old", alt: "", draggable: "false", hidden: true });
    this.drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    set(this.drawing, "class", "stage__drawing");
    this.lens = h("canvas", { class: "loupe", hidden: true, "aria-hidden": "true" });
    this.trouble = h("div", { class: "trouble", role: "alert", hidden: true });
    this.ground = h("div", { class: "stage", tabindex: "0", role: "group", "aria-label": t("calibrate.stage") },
      this.picture, this.old, this.drawing, this.lens, this.trouble);
    this.stage = new Stage(this.ground, this.picture, this.drawing);
    this.overlay = new Overlay(this.drawing, this.model, this.stage);
    this.loupe = new Loupe(this.lens, this.stage);
    this.realign = new Realign(this, this.old);
    this.saving = new Saving(this);
    this.paste = new Paste(this);
    this.crops = new Crops(this.model, this.scores, (key) => this.show(key), () => this.actions.clip());
    const check = h("div", { class: "stack" }, this.crops.element, this.saving.element);
    this.panel = new Panel(this, new NameStep(this, this.paste),
      { element: check, update: () => { this.crops.update(this.saving.refused); this.saving.update(); } }, new Chosen(this));
    this.pointer = new Pointer(this.#hands());
    this.#lay();
    this.model.listen(() => this.#changed());
    this.stage.listen(() => this.render());
    listenToKeys(this);
    addEventListener("pagehide", () => this.bench.keepDraft());
    addEventListener("stock-language", () => location.reload());
    addEventListener("stock-sign-in", () => location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`));
  }

  #lay() {
    const { actions, stage } = this;
    this.back = h("a", { class: "button button--icon button--quiet", href: "/", "aria-label": t("calibrate.back"),
      title: t("calibrate.back") }, icon("back"));
    this.choice = h("select", { class: "input bar__camera", "aria-label": t("calibrate.camera"), onchange: () => this.choose(this.choice.value) });
    this.shot = tool("camera", t("calibrate.retake"), () => this.retake(), { wide: false });
    this.move = tool("realign", t("calibrate.realign"), () => this.realign.start(), { wide: false });
    this.save = tool("save", t("calibrate.save"), () => this.saving.save(), { key: "Ctrl+S", kind: "button--primary bar__save" });
    this.undo = tool("undo", t("calibrate.undo"), () => actions.undo(), { key: "Ctrl+Z", wide: false });
    this.redo = tool("redo", t("calibrate.redo"), () => actions.redo(), { key: "Ctrl+Y", wide: false });
    this.magnet = tool("magnet", t("calibrate.snap"), () => this.toggleSnap(), { key: "G", wide: false });
    const strip = h("div", { class: "strip", role: "toolbar", "aria-label": t("calibrate.tools") }, this.undo, this.redo,
      h("span", { class: "strip__gap" }), this.magnet, tool("zoom-out", t("calibrate.zoom_out"), () => stage.zoom(0.8), { key: "-", wide: false }),
      tool("fit", t("calibrate.fit"), () => stage.fit(), { key: "0", wide: false }),
      tool("zoom-in", t("calibrate.zoom_in"), () => stage.zoom(1.25), { key: "+", wide: false }),
      tool("keyboard", t("calibrate.help"), showHelp, { key: "?", wide: false }));
    document.title = t("calibrate.title");
    document.body.prepend(
      h("a", { class: "skip", href: "#panel" }, t("calibrate.skip")),
      h("header", { class: "bar calibrate-bar" },
        this.back,
        h("div", { class: "bar__title" }, h("h1", null, t("calibrate.title"))),
        this.choice, this.shot, this.move, languageButton("button button--quiet bar__language"), this.save),
      h("main", { class: "calibrate" }, h("div", { class: "work" }, this.ground, strip),
        h("div", { id: "panel", class: "calibrate__panel", tabindex: "-1" }, this.realign.element, this.panel.element)));
  }

  /** @returns {import("./pointer.js").Hands} */
  #hands() {
    return {
      model: this.model, stage: this.stage,
      anchors: () => this.realign.anchors,
      moveAnchor: (i, to) => this.realign.moveAnchor(i, to),
      tap: (point) => { this.cursor = null; this.actions.tap(point); },
      diagonal: (a, b, done) => {
        this.#diagonal = done ? null : [a, b];
        if (done) this.actions.diagonal(a, b);
        else this.render();
      },
      pick: (key, add) => this.actions.pick(key, add),
      hold: (target) => this.actions.hold(target),
      twice: (target) => this.actions.twice(target),
      look: (seen) => { this.#seen = seen; if (!seen) this.#diagonal = null; this.loupe.show(seen); this.render(); },
      hover: (hover) => {
        const { target } = hover ?? {}, { tool } = this.model;
        const same = targetName(target) === targetName(this.#hover?.target);
        this.#hover = hover;
        set(this.ground, "data-under", target?.kind ?? (tool ? "tool" : ""));
        if (tool || !same) this.render(); // without a tool nothing follows the pointer
      },
    };
  }

  async start() {
    addEventListener("pointerdown", (event) => { this.#byTouch = event.pointerType !== "mouse"; }, { capture: true });
    try {
      await this.bench.open();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#tell(t("calibrate.failed", { why: reasonOf(error) }), false, [h("div", { class: "tools" }, h("button",
        { type: "button", class: "button button--primary", onclick: () => location.reload() }, t("calibrate.try_again")))]);
      return;
    }
    const { cameras, writable, whyNot } = this.bench;
    this.back.hidden = this.bench.alone; // then there is no staff page
    this.choice.append(...cameras.map(({ id, slots }) => h("option", { value: id }, slots ? `${id} · ${t("calibrate.n_slots", { n: slots })}` : id)));
    if (!writable) this.say(t("calibrate.not_writable", { why: whyNot ?? "" }), true); // before forty slots are drawn
    const asked = new URLSearchParams(location.search).get("camera");
    const first = cameras.find(({ id }) => id === asked) ?? cameras.find(({ slots }) => !slots) ?? cameras[0];
    if (first) await this.choose(first.id);
    else this.#tell(t("calibrate.no_cameras"));
  }

  /** @param {string} camera */
  async choose(camera) {
    this.choice.value = camera;
    history.replaceState(null, "", `?camera=${encodeURIComponent(camera)}`);
    this.realign.stop();
    this.#tell(t("calibrate.opening", { camera }), true);
    let opened;
    try {
      opened = await this.bench.choose(camera);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (this.bench.camera === camera) this.#noPicture(error);
      return;
    }
    if (!opened) return;
    if (opened.problem) this.#noPicture(opened.problem);
    else this.#opened(opened.restored);
  }

  /** @param {boolean} restored */
  #opened(restored) {
    this.#showPicture();
    const some = this.model.slots.length > 0;
    this.actions.goTo(some && !this.model.state.draft ? 4 : 1);
    if (restored) toast(t("calibrate.restored"), { act: t("calibrate.discard"), undo: () => { this.bench.discard(); this.actions.goTo(this.model.slots.length ? 4 : 1); } });
    if (some && this.bench.plan?.reference) this.realign.look();
  }

  #showPicture() {
    const { bench, stage } = this;
    const { picture } = bench;
    if (!picture) return;
    this.#tell("");
    this.picture.src = bench.pictureUrl;
    set(this.picture, "alt", t("calibrate.picture_of", { camera: bench.camera }));
    stage.setSize(picture.width, picture.height);
    this.scores.clear();
    this.model.changed();
  }

  /** Nobody draws on a picture that did not arrive. */
  #lost() {
    const again = h("button", { type: "button", class: "button button--primary", onclick: () => this.#showPicture() }, t("calibrate.try_again"));
    this.#tell(t("calibrate.no_picture", { camera: this.bench.camera, why: t("calibrate.picture_lost") }), false, [h("div", { class: "tools" }, again)]);
  }

  /** @param {import("../lib/net.js").ApiError} problem */
  #noPicture(problem) {
    const again = h("button", { type: "button", class: "button button--primary", onclick: () => this.choose(this.bench.camera) }, t("calibrate.try_again"));
    const reference = this.bench.plan?.reference && h("button", { type: "button", class: "button",
      onclick: () => this.#useReference() }, t("calibrate.use_reference"));
    this.#tell(t("calibrate.no_picture", { camera: this.bench.camera, why: reasonOf(problem) }), false, [
      problem.message && problem.code !== "network" && h("p", { class: "small muted" }, problem.message), h("div", { class: "tools" }, again, reference)]);
  }

  async #useReference() {
    try {
      const restored = await this.bench.useReference();
      if (restored !== null) this.#opened(restored);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.say(t("calibrate.failed", { why: reasonOf(error) }), true);
    }
  }

  /** @param {string} text in place of the picture; "" shows the picture @param {boolean} [busy] @param {any[]} [more] */
  #tell(text, busy = false, more = []) {
    this.trouble.hidden = !text;
    this.ground.dataset.bare = String(Boolean(text));
    if (text) this.trouble.replaceChildren(icon(busy ? "camera" : "camera-off", "icon trouble__icon"), h("p", null, text), ...more.filter(Boolean));
    if (text) this.picture.removeAttribute("src");
  }

  /** @returns {Promise<boolean>} whether there is a new picture */
  async retake() {
    try {
      if (!(await this.bench.retake())) return false;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.say(t("calibrate.no_picture", { camera: this.bench.camera, why: reasonOf(error) }), true);
      return false;
    }
    this.#showPicture();
    return true;
  }

  /** The picture was forgotten, so it is old: who saves must have seen what the camera shows now. */
  async renew() {
    if (!(await this.retake())) return;
    this.say(t("calibrate.picture_renewed"));
    if (this.model.slots.length && this.bench.plan?.reference) await this.realign.look();
  }

  #drawn() {
    this.render(true);
    if (!this.#byTouch) this.panel.focusCounts(); // on a phone the keyboard would cover the picture
  }

  #changed() {
    this.scores.update();
    clearTimeout(this.#draft);
    this.#draft = setTimeout(() => this.bench.keepDraft(), DRAFT_MS);
    this.render();
  }

  /** Once per frame, however much has changed. @param {boolean} [now] */
  render(now = false) {
    if (now) { cancelAnimationFrame(this.#frame); this.#frame = 0; this.#paint(); return; }
    this.#frame ||= requestAnimationFrame(() => { this.#frame = 0; this.#paint(); });
  }

  #paint() {
    const { model, scores, realign, bench } = this;
    this.overlay.render({ scores: scores.known, stateOf: (key) => scores.stateOf(key), warnings: scores.warnings,
      hover: this.#hover, diagonal: this.#diagonal, cursor: this.cursor, seen: this.#seen, ghosts: realign.ghosts, anchors: realign.anchors, counts: this.actions.counts });
    this.panel.update();
    this.panel.element.hidden = realign.active;
    set(this.ground, "data-tool", model.tool);
    set(this.ground, "data-realign", realign.active);
    this.undo.disabled = !model.canUndo;
    this.redo.disabled = !model.canRedo;
    set(this.magnet, "aria-pressed", String(model.snap));
    this.move.disabled = !bench.plan?.reference || !model.slots.length;
    this.save.disabled = !this.saving.possible;
    set(this.save, "data-dirty", bench.dirty);
    set(this.save, "aria-busy", String(this.saving.busy));
  }

  /** @param {string} text @param {boolean} [error] */
  say(text, error = false) { toast(text, { error }); }

  toggleSnap() {
    this.model.snap = !this.model.snap;
    this.say(t(this.model.snap ? "calibrate.snap_on" : "calibrate.snap_off"));
    this.model.changed();
  }

  /** Select a slot and bring it into view. @param {string} key */
  show(key) {
    this.actions.pick(key, false);
    const slot = this.model.slots.find((one) => one.key === key);
    if (slot) this.stage.reveal(centre(slot.quad));
  }

  focusStage() { this.ground.focus({ preventScroll: true }); }

  /** @param {string|undefined} key */
  focusSlot(key) {
    const element = /** @type {SVGElement|null} */ (key ? this.drawing.querySelector(`.slot[data-key="${CSS.escape(key)}"]`) : null);
    if (element) element.focus();
    else this.focusStage();
  }

  /** The first part of the drawing that fits. @param {string} selector */
  focusPart(selector) {
    this.render(true);
    /** @type {SVGElement|null} */ (this.drawing.querySelector(selector))?.focus();
  }
}

staySignedIn();
const app = new App();
app.start().catch((error) => app.say(t("calibrate.failed", { why: reasonOf(error) }), true));

