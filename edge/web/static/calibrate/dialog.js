// A question in a dialog: what happened, and the ways out of it.

import { h, icon } from "../lib/dom.js";
import { t } from "../lib/i18n.js";

/**
 * @template T
 * @param {{title: string, text: string, choices: {value: T, label: string, hint?: string, primary?: boolean}[]}} options
 * @returns {Promise<T|null>} null where it was closed without an answer
 */
export function ask({ title, text, choices }) {
  return new Promise((resolve) => {
    /** @type {T|null} */
    let answer = null;
    const dialog = h("dialog", { class: "sheet", "aria-labelledby": "ask-title", "aria-describedby": "ask-text" },
      h("div", { class: "sheet__head" }, h("h2", { id: "ask-title" }, title), closing(() => dialog.close())),
      h("p", { id: "ask-text", class: "ask__text" }, text),
      h("div", { class: "ask__choices" }, choices.map(({ value, label, hint, primary }) => h("button", {
        type: "button", class: `button ask__choice ${primary ? "button--primary" : ""}`, autofocus: primary,
        onclick: () => { answer = value; dialog.close(); } }, h("span", null, label), hint && h("small", null, hint)))));
    dialog.addEventListener("close", () => { dialog.remove(); resolve(answer); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** @param {() => void} act */
export function closing(act) {
  return h("button", { type: "button", class: "button button--icon button--quiet", "aria-label": t("calibrate.close"), onclick: act }, icon("close"));
}
