// Saving: the planogram is written in one step, never over somebody else's change, and not while
// something moves in the picture. And the earlier versions that can be taken up again.

import { h, list, setText } from "../lib/dom.js";
import { lang, t } from "../lib/i18n.js";
import { ApiError, getJson, send } from "../lib/net.js";
import { ask } from "./dialog.js";
import { relabel } from "./edits.js";
import { reasonOf } from "./judged.js";

/** @typedef {import("./main.js").App} App */

export class Saving {
  busy = false;
  /** The camera that was to be saved, too, while it was busy. */
  #again = "";
  /** What the daemon refused, by slot key. @type {Map<string, string[]>} */
  refused = new Map();

  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.versions = h("ul", { class: "versions" });
    this.earlier = h("details", { class: "more" }, h("summary", null, t("calibrate.versions")), this.versions);
    this.forbidden = h("p", { class: "notice notice--alert", hidden: true });
    this.element = h("div", { class: "stack" }, this.forbidden, this.earlier);
  }

  get possible() {
    const { bench, model, realign } = this.app;
    return bench.writable && bench.picture !== null && !this.busy && !realign.active && (bench.dirty || model.slots.length > 0);
  }

  update() {
    const versions = this.app.bench.plan?.versions ?? [];
    this.earlier.hidden = !versions.length;
    const { writable, whyNot } = this.app.bench;
    this.forbidden.hidden = writable;
    if (!writable) setText(this.forbidden, t("calibrate.not_writable", { why: whyNot ?? "" }));
    this.element.hidden = writable && !versions.length;
    list(this.versions, versions, ({ id }) => id, ({ id, saved_at, slots }) => h("li", null,
      h("button", { type: "button", class: "versions__one", onclick: () => this.#takeUp(id) },
        h("span", null, when(saved_at)), h("span", { class: "muted" }, t("calibrate.n_slots", { n: slots })))));
  }

  /** @param {string} id of an earlier version; it becomes a step that can be undone */
  async #takeUp(id) {
    const { bench, model } = this.app;
    const { camera } = bench;
    let slots;
    try {
      ({ slots } = await getJson(bench.url(`/plan?version=${encodeURIComponent(id)}`)));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.app.say(t("calibrate.version_failed", { why: reasonOf(error) }), true);
      return;
    }
    if (bench.camera !== camera) return;
    model.commit("calibrate.did.version", bench.fromPlan(slots));
    model.select({});
    this.app.say(t("calibrate.version_taken", { n: slots.length }));
  }

  /** @param {string} [digest] of the file that may be replaced */
  async save(digest = this.app.bench.digest) {
    const { bench, model, realign } = this.app;
    if (!bench.writable) { this.app.say(t("calibrate.not_writable", { why: bench.whyNot ?? "" }), true); return; }
    if (realign.active) { realign.remind(); return; } // where the slots lie is still to be answered
    const { camera } = bench;
    this.#again = this.busy ? camera : "";
    if (!this.possible || !this.#sound()) return;
    this.busy = true;
    this.refused = new Map();
    model.changed();
    const slots = model.slots;
    const before = model.committed, planned = bench.planned();
    try {
      const answer = await send("PUT", bench.url(), { token: bench.picture?.token, slots: planned },
        { headers: { "If-Match": digest }, timeoutMs: 20000 });
      this.#told(answer, slots.length);
      if (bench.camera !== camera) return;
      // What is saved has its ids for good: the daemon knows each slot's history by its id.
      const ids = new Map(slots.map(({ key, id, name }) => [key, { id, name }]));
      if (model.committed === before) model.settle(relabel(before, ids));
      bench.saved(answer.digest, planned, before);
      await this.#refresh();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.busy = false;
      if (bench.camera === camera) await this.#refused(error, planned);
      else this.app.say(t("calibrate.save_failed_of", { camera, why: reasonOf(error) }), true);
    } finally {
      this.busy = false;
      model.changed();
    }
    if (this.#again && this.#again === bench.camera) await this.save();
  }

  /** @param {{reloaded: boolean, message: string}} answer @param {number} n slots */
  #told({ reloaded, message }, n) {
    if (reloaded) this.app.say(t("calibrate.saved", { n }));
    else if (this.app.bench.alone) this.app.say(t("calibrate.saved_alone", { n }));
    else this.app.say(t("calibrate.saved_not_reloaded", { n, why: message }), true);
  }

  /** Versions and reference as they are now. What was done is done, whether they can be read or not. */
  async #refresh() {
    try {
      await this.app.bench.reloadPlan();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.app.say(t("calibrate.not_refreshed", { why: reasonOf(error) }), true);
    }
  }

  /** Only what can be saved is sent; else step 4 shows what cannot. */
  #sound() {
    const { model, scores } = this.app;
    const wrong = model.slots.filter(({ key }) => model.problems.has(key) || !scores.usable(key));
    if (!wrong.length) return true;
    const [first] = wrong;
    this.app.say(t("calibrate.not_savable", { n: wrong.length }), true);
    this.app.actions.goTo(model.problems.has(first.key) ? 3 : 4);
    this.app.show(first.key);
    return false;
  }

  /** @param {ApiError} error @param {any[]} planned what was to be saved */
  async #refused(error, planned) {
    if (error.code === "changed") await this.#changed(error, planned);
    else if (error.code === "moving") await this.#moving();
    else if (error.code === "picture_gone") await this.app.renew();
    else if (error.code === "invalid") this.#invalid(error.body?.error?.problems ?? []);
    else this.app.say(t("calibrate.save_failed", { why: reasonOf(error) }), true);
  }

  /**
   * Nothing to ask where only another camera's slots are new, or where these are: then they were
   * saved, and it was the answer that got lost.
   * @param {ApiError} error with what the file holds now
   * @param {any[]} planned
   */
  async #changed(error, planned) {
    const { bench, model } = this.app;
    const { digest, slots } = error.body;
    const { camera } = bench;
    await this.#refresh(); // ids that another camera has taken meanwhile show where they clash
    if (bench.camera !== camera) return;
    if (bench.isBegunOn(slots) || JSON.stringify(slots) === JSON.stringify(planned)) {
      await this.save(digest);
      return;
    }
    const choice = await ask({
      title: t("calibrate.changed_title"), text: t("calibrate.changed"),
      choices: [
        { value: "mine", label: t("calibrate.use_mine"), hint: t("calibrate.use_mine_hint", { n: model.slots.length }) },
        { value: "theirs", label: t("calibrate.use_theirs"), hint: t("calibrate.use_theirs_hint", { n: slots.length }) },
        { value: "download", label: t("calibrate.download_mine"), hint: t("calibrate.download_mine_hint") },
      ],
    });
    if (choice === "download") this.#download();
    if (choice === "mine") await this.save(digest);
    if (choice !== "theirs" && choice !== "download") return;
    await this.#refresh();
    model.commit("calibrate.did.theirs", bench.fromPlan(slots));
    bench.saved(digest, bench.planned());
  }

  async #moving() {
    const choice = await ask({
      title: t("calibrate.moving_title"), text: t("calibrate.moving"),
      choices: [{ value: "again", label: t("calibrate.moving_again"), primary: true }],
    });
    if (choice) await this.#anew();
  }

  async #anew() {
    if (await this.app.retake()) await this.save();
  }

  /** @param {string[]} problems of a slot: "slot a1-03: name: …", or of what else the file holds */
  #invalid(problems) {
    const { model } = this.app;
    const byId = new Map(model.slots.map((slot) => [slot.id, slot.key]));
    for (const text of problems) {
      const key = byId.get(/^slot ([^:]+): /.exec(text)?.[1] ?? "");
      if (key) this.refused.set(key, [...(this.refused.get(key) ?? []), text]);
    }
    this.app.say(problems.length ? t("calibrate.invalid", { why: problems[0] }) : t("calibrate.save_failed", { why: "" }), true);
    const [first] = this.refused.keys();
    if (!first) return;
    this.app.actions.goTo(4);
    this.app.show(first);
  }

  /** The drawing as a planogram: JSON is YAML. */
  #download() {
    const { bench } = this.app;
    const slots = bench.planned()
      .map((slot) => Object.fromEntries(Object.entries(slot).filter(([, value]) => value !== null)));
    const text = JSON.stringify({ version: 1, cameras: { [bench.camera]: { slots } } }, null, 2);
    const url = URL.createObjectURL(new Blob([text], { type: "application/yaml" }));
    const link = h("a", { href: url, download: `${bench.camera}.planogram.yaml` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }
}

/** @param {string} time RFC 3339 */
function when(time) {
  return new Intl.DateTimeFormat(lang(), { dateStyle: "medium", timeStyle: "short" }).format(new Date(time));
}
