// Names and product codes from a spreadsheet: pasted anywhere on the page, or a CSV file. A preview
// shows which slot gets what, what is surplus and what is missing, before anything is applied.

import { h, icon, setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { send } from "../lib/net.js";
import { isHeading, parsePaste } from "../geom/naming.js";
import { relabel } from "./edits.js";
import { reasonOf } from "./judged.js";

/** @typedef {import("./main.js").App} App */
/** @typedef {import("../geom/naming.js").Line} Line */
/** @typedef {{line: Line, slot: import("./state.js").Slot|undefined}} Pair */

const MOST_BYTES = 1_500_000, SHOWN = 400, TYPED_MS = 200;

export class Paste {
  /** As the preview shows them: what is selected may change before they are applied. */
  /** @type {Pair[]} */ #pairs = [];
  #turn = 0;
  #typing = 0;

  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.area = h("textarea", { class: "input paste__area", rows: 3, name: "paste", spellcheck: "false",
      placeholder: t("calibrate.paste_hint"), "aria-label": t("calibrate.paste"),
      oninput: () => this.#typed() });
    this.file = h("input", { type: "file", accept: ".csv,.tsv,.txt,text/csv", class: "sr-only", tabindex: "-1",
      "aria-label": t("calibrate.import"), onchange: () => this.#import() });
    this.summary = h("p", { class: "paste__summary", role: "status" });
    this.notes = h("ul", { class: "problems" });
    this.rows = h("tbody");
    this.apply = h("button", { type: "button", class: "button button--primary", onclick: () => this.#apply() }, t("calibrate.paste_apply"));
    this.preview = h("div", { class: "paste__preview", hidden: true }, this.notes,
      h("div", { class: "paste__rows" }, h("table", { class: "table" }, this.rows)), this.summary,
      h("div", { class: "paste__buttons" }, h("button", { type: "button", class: "button", onclick: () => this.close() }, t("calibrate.cancel")), this.apply));
    this.element = h("div", { class: "paste" }, this.area,
      h("button", { type: "button", class: "button button--quiet", onclick: () => this.file.click() }, icon("download"), t("calibrate.import")),
      this.file, this.preview);
    addEventListener("paste", (event) => this.#pasted(event));
  }

  /** @param {ClipboardEvent} event */
  async #pasted(event) {
    const { model } = this.app;
    const target = /** @type {Element} */ (event.target);
    const text = event.clipboardData?.getData("text/plain") ?? "";
    const own = target === this.area;
    if (!text.trim() || (!own && target.closest("input, textarea") && !/[\n\t]/.test(text.trim()))) return;
    if (!model.slots.length) { this.app.say(t("calibrate.paste_no_slots")); return; }
    event.preventDefault();
    this.app.actions.goTo(3);
    this.area.value = text;
    if (await this.read(text)) this.#offer();
  }

  /** Who types a list is not asked about at each letter. */
  #typed() {
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.read(this.area.value), TYPED_MS);
  }

  /**
   * Show what a text says: plain columns at once, blank lines for slots that keep their names. A list with a heading is
   * read by the daemon, as an imported file is: there a blank line says nothing.
   * @param {string} text
   * @returns {Promise<boolean>} whether there is something to offer
   */
  async read(text) {
    const turn = ++this.#turn;
    if (isHeading(text)) {
      this.#show([], []); // until the answer comes nothing is there that Enter could apply
      return this.#ask({ csv: text }, turn);
    }
    const { lines, rounded } = parsePaste(text);
    const some = Boolean(text.trim());
    this.#show(some ? lines : [], rounded.slice(0, 1).map((code) => t("calibrate.paste_rounded", { code })));
    return some;
  }

  /** @param {{csv: string}|{file: string}} list @param {number} turn */
  async #ask(list, turn) {
    try {
      const { rows, problems } = await send("POST", "/api/calibrate/import", list);
      if (turn !== this.#turn) return false; // another text was pasted meanwhile
      this.#show(rows, problems);
      return true;
    } catch (error) {
      if (turn === this.#turn) this.app.say(t("calibrate.import_failed", { why: reasonOf(/** @type {Error} */ (error)) }), true);
      return false;
    }
  }

  async #import() {
    const [file] = this.file.files ?? [];
    this.file.value = "";
    if (!file) return;
    if (file.size > MOST_BYTES) { this.app.say(t("calibrate.import_big"), true); return; }
    if (await this.#ask({ file: base64(await file.arrayBuffer()) }, ++this.#turn)) this.#offer();
  }

  /** Enter accepts. */
  #offer() {
    this.app.render(true); // what is hidden until the next frame takes no focus
    this.apply.focus();
  }

  /** The slots that get lines: from the selected one on, in reading order. */
  #slots() {
    const { model } = this.app;
    const first = model.slots.findIndex((slot) => slot.key === model.selection.keys[0]);
    return model.slots.slice(Math.max(0, first));
  }

  /** Which slot gets which line: by row and column where the file says so, else in order. */
  #paired(/** @type {Line[]} */ lines) {
    const slots = this.#slots(), all = this.app.model.slots;
    return lines.map((line, i) => {
      const { row, column } = /** @type {any} */ (line);
      const placed = row && column;
      return { line, slot: placed ? all.find((slot) => slot.row === row && slot.column === column) : slots[i] };
    });
  }

  /** @param {Line[]} lines @param {string[]} problems */
  #show(lines, problems) {
    const pairs = this.#pairs = this.#paired(lines);
    this.preview.hidden = !lines.length && !problems.length;
    this.notes.replaceChildren(...problems.map((text) => h("li", { class: "problems__item" }, text)));
    const slots = this.#slots();
    const surplus = pairs.filter(({ slot }) => !slot).length;
    const missing = Math.max(0, slots.length - lines.length);
    setText(this.summary, [t("calibrate.paste_n", { n: lines.length - surplus }),
      surplus && t("calibrate.paste_surplus", { n: surplus }), missing && t("calibrate.paste_missing", { n: missing })].filter(Boolean).join(" · "));
    this.summary.dataset.uneven = String(surplus + missing > 0);
    this.rows.replaceChildren(...pairs.slice(0, SHOWN).map(({ line, slot }) => h("tr", { "data-surplus": String(!slot) },
      h("th", { scope: "row" }, slot?.id ?? t("calibrate.surplus")), h("td", null, line.name || "–"), h("td", { class: "muted" }, line.sku))),
    ...slots.slice(lines.length, SHOWN).map((slot) => h("tr", { "data-missing": "true" },
      h("th", { scope: "row" }, slot.id), h("td", { class: "muted", colspan: 2 }, t("calibrate.missing")))));
    this.apply.disabled = lines.length === surplus;
  }

  #apply() {
    const { model } = this.app;
    const labels = new Map(), alive = new Set(model.slots.map(({ key }) => key));
    for (const { line, slot } of this.#pairs) {
      if (!slot || !alive.has(slot.key) || (!line.name && !line.sku)) continue;
      labels.set(slot.key, { ...(line.name && { name: line.name }), ...(line.sku && { sku: line.sku }), ...(line.id && { id: line.id }) });
    }
    this.close();
    model.commit("calibrate.did.paste", relabel(model.state, labels));
    this.app.say(t("calibrate.pasted", { n: labels.size }));
    this.app.focusStage();
  }

  close() {
    clearTimeout(this.#typing);
    this.#turn += 1;
    this.#pairs = [];
    this.area.value = "";
    this.preview.hidden = true;
  }

  /** @returns {boolean} whether there was a preview to close */
  dismiss() {
    const open = !this.preview.hidden;
    if (open) this.close();
    return open;
  }
}

/** The file's bytes as they are: Korean spreadsheets write more than one encoding. @param {ArrayBuffer} buffer */
function base64(buffer) {
  const bytes = new Uint8Array(buffer), parts = [];
  for (let i = 0; i < bytes.length; i += 8192) parts.push(String.fromCharCode(...bytes.subarray(i, i + 8192)));
  return btoa(parts.join(""));
}
