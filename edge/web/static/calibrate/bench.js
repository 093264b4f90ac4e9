// What is calibrated: a camera, its picture, the planogram as it was read, and the draft that this
// device keeps of what was drawn and not saved yet.

import { ApiError, getJson, send } from "../lib/net.js";
import { getPref, setPref } from "../lib/prefs.js";
import { t } from "../lib/i18n.js";
import { compose, IDENTITY, invert } from "../geom/homography.js";
import { asPlan, emptyState, mapped, scaled, withPlan } from "./state.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./state.js").State} State */
/** @typedef {import("./state.js").Frame} Frame */
/** @typedef {import("../geom/homography.js").Matrix} Matrix */
/** @typedef {{token: string, width: number, height: number}} Picture */
/** @typedef {{id: string, name: string, sku: string|null, priority: number|null, quad: any}} PlanSlot */
/**
 * @typedef {object} Plan
 * @property {string} digest of the planogram file; "" where there is none
 * @property {PlanSlot[]} slots
 * @property {string[]} other_ids
 * @property {{url: string, width: number, height: number}|null} reference
 * @property {any[]} blackout quads, in fractions, that are black on the picture
 * @property {{id: string, saved_at: string, slots: number}[]} versions newest first
 */

const PICTURE_MS = 30000; // a camera that has to be opened first takes its time

export class Bench {
  /** @type {{id: string, slots: number}[]} */ cameras = [];
  writable = true;
  /** @type {string|null} */ whyNot = null;
  /** No daemon runs: what is saved waits for it. */
  alone = false;
  camera = "";
  /** @type {Picture|null} */ picture = null;
  /** @type {Plan|null} */ plan = null;
  /** What the file holds, as JSON: what is drawn differs from it or not. */
  #saved = "[]";
  /** The file as it was when this drawing was begun: saving replaces no other. */
  #base = { digest: "", slots: "[]" };
  /** How far what was saved with the reference picture had been moved. @type {Matrix} */
  #reference = IDENTITY;
  #turn = 0;

  /** @param {Model} model */
  constructor(model) { this.model = model; }

  async open() {
    const { cameras, writable, why_not, alone } = await getJson("/api/calibrate");
    Object.assign(this, { cameras, writable, whyNot: why_not, alone });
  }

  /** @param {string} part @returns {string} */
  url(part = "") {
    return `/api/calibrate/${encodeURIComponent(this.camera)}${part}`;
  }

  /** @returns {string} */
  get pictureUrl() { return `/api/calibrate/pictures/${this.picture?.token}.jpg`; }

  /**
   * Take up a camera: its slots, and its picture if there is one.
   * @param {string} camera
   * @returns {Promise<{problem: ApiError|null, restored: boolean}|null>} null: another was chosen meanwhile
   */
  async choose(camera) {
    const turn = ++this.#turn;
    this.keepDraft();
    this.camera = camera;
    this.picture = null;
    this.plan = null;
    const frame = { camera, width: 1, height: 1, otherIds: new Set() };
    this.model.reset(emptyState([], ""), frame); // nothing of another camera stays on the page
    const [plan, picture] = await Promise.all([
      getJson(this.url("/plan")), this.#take("now").catch((error) => error)]);
    if (turn !== this.#turn) return null;
    this.plan = plan;
    const problem = picture instanceof ApiError ? picture : null;
    if (picture instanceof Error && !problem) throw picture;
    this.picture = problem ? null : picture;
    return { problem, restored: this.picture ? this.#begin() : false };
  }

  /**
   * Draw on the picture that the slots were drawn on: the camera gives none.
   * @returns {Promise<boolean|null>} whether a draft was found; null: another camera was chosen meanwhile
   */
  async useReference() {
    const turn = this.#turn;
    const picture = await this.#take("reference");
    if (turn !== this.#turn) return null;
    this.picture = picture;
    return this.#begin();
  }

  /** Another picture under the same drawing. @returns {Promise<Picture|null>} null: as above */
  async retake() {
    const turn = this.#turn;
    const picture = await this.#take("now");
    if (turn !== this.#turn) return null;
    const { model } = this;
    const { width, height } = model.frame;
    this.picture = picture;
    if (picture.width !== width || picture.height !== height) {
      const map = (/** @type {any} */ quad) => scaled(quad, picture.width / width, picture.height / height);
      model.reset(mapped({ ...model.state, draft: null }, map), this.#frame());
    }
    return picture;
  }

  /** @param {"now"|"reference"} of @returns {Promise<Picture>} */
  #take(of) {
    return send("POST", this.url("/picture"), of === "now" ? {} : { of }, { timeoutMs: PICTURE_MS });
  }

  /** @returns {Frame} */
  #frame() {
    const { width, height } = /** @type {Picture} */ (this.picture);
    return { camera: this.camera, width, height, otherIds: new Set(this.plan?.other_ids) };
  }

  /** @returns {boolean} whether an unsaved drawing was found on this device */
  #begin() {
    const frame = this.#frame();
    this.#base = baseOf(this.plan);
    this.#reference = IDENTITY;
    this.model.reset(this.fromPlan(this.plan?.slots ?? [], frame), frame);
    this.#saved = this.#drawn();
    const draft = this.#readDraft(frame);
    if (!draft) return false;
    const untouched = this.#saved;
    this.model.reset(draft, frame);
    const restored = this.#drawn() !== untouched || draft.draft !== null;
    return restored;
  }

  /** @param {PlanSlot[]} slots that lie on the reference picture @param {Frame} [frame] @returns {State} */
  fromPlan(slots, frame = this.#frame()) {
    const empty = emptyState(frame.otherIds, t("calibrate.name_pattern", { row: "{row}", col: "{col}" }));
    return withPlan({ ...empty, moved: this.#reference }, slots, frame);
  }

  /** Where realigning has taken the drawing from the reference picture, in fractions. @returns {Matrix} */
  get moved() { return compose(this.model.committed.moved, invert(this.#reference)); }

  /** Of the file that may be replaced. */
  get digest() { return this.#base.digest; }

  /** Whether the file held these slots when this drawing was begun. @param {PlanSlot[]} slots */
  isBegunOn(slots) { return JSON.stringify(slots) === this.#base.slots; }

  /** Draw what the file holds instead of what was not saved; undo brings that back, unless it was
   * begun on another file: then a save would not know which slots it replaces. */
  discard() {
    const slots = this.plan?.slots ?? [];
    const held = this.fromPlan(slots);
    if (this.isBegunOn(slots)) return this.model.commit("calibrate.did.discard", held);
    this.#base = baseOf(this.plan);
    this.model.reset(held);
    this.#saved = this.#drawn();
    return this.model.changed();
  }

  /**
   * The file holds these slots now; what was drawn while they were written is not among them.
   * @param {string} digest
   * @param {PlanSlot[]} slots
   * @param {State} [state] what they were drawn as
   */
  saved(digest, slots, state = this.model.committed) {
    if (this.plan) this.plan = { ...this.plan, digest, slots };
    this.#saved = JSON.stringify(slots);
    this.#base = { digest, slots: this.#saved };
    this.#reference = state.moved;
    this.keepDraft();
  }

  async reloadPlan() {
    const turn = this.#turn;
    const plan = await getJson(this.url("/plan"));
    if (turn !== this.#turn) return;
    this.plan = plan;
    if (this.picture) this.model.reframe(this.#frame());
    if (this.isBegunOn(plan.slots)) this.#base = baseOf(plan);
  }

  /** What is drawn is not what the file holds. */
  get dirty() { return this.picture !== null && this.#drawn() !== this.#saved; }

  /** @returns {any[]} slots as the planogram wants them */
  planned() { return asPlan(this.model.slots, this.model.frame, this.plan?.slots ?? []); }

  #drawn() { return JSON.stringify(this.planned()); }

  #draftKey() { return `calibrate.draft.${this.camera}`; }

  /** Keep what is drawn on this device; bays keep their dividers even once they are saved. */
  keepDraft() {
    if (!this.picture || !this.plan) return;
    const { width, height } = this.model.frame;
    const state = { ...this.model.committed, moved: this.moved };
    setPref(this.#draftKey(), JSON.stringify({ ...this.#base, unsaved: this.dirty, width, height,
      reference: this.plan.reference?.url, state }));
  }

  /**
   * Other slots in the file than the draft was begun with: it counts only where something was not
   * saved, and saving it asks which ones to keep.
   * @param {Frame} frame
   * @returns {State|null}
   */
  #readDraft(frame) {
    const text = getPref(this.#draftKey());
    if (!text) return null;
    try {
      const { digest, slots, unsaved, width, height, reference, state: kept } = JSON.parse(text);
      const current = digest === this.#base.digest || slots === this.#base.slots;
      if (!Array.isArray(kept.bays) || !Array.isArray(kept.loose) || !(current || unsaved)) return null;
      if (!current) this.#base = { digest, slots };
      // To another reference picture nobody knows the way.
      const state = { ...kept, moved: reference === this.plan?.reference?.url && kept.moved || IDENTITY };
      const same = width === frame.width && height === frame.height;
      return same ? state : mapped({ ...state, draft: null },
        (quad) => scaled(quad, frame.width / width, frame.height / height));
    } catch {
      return null; // written by another version of the page
    }
  }
}

/** @param {Plan|null} plan what a drawing is begun on; other cameras' slots are none of its business */
function baseOf(plan) {
  return { digest: plan?.digest ?? "", slots: JSON.stringify(plan?.slots ?? []) };
}
