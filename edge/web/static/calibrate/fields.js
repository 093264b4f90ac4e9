// Small controls of the panel: number steppers, text fields, toggles.

import { h, icon, set } from "../lib/dom.js";

let made = 0;

/**
 * A number with − and +; it takes typing, the wheel and arrow keys.
 * @param {{label: string, name: string, low: number, high: number, get: () => number, put: (value: number) => void}} options
 */
export function stepper({ label, name, low, high, get, put }) {
  const input = h("input", { class: "stepper__value", type: "text", inputmode: "numeric", autocomplete: "off",
    name, "aria-label": label, role: "spinbutton", "aria-valuemin": low, "aria-valuemax": high,
    onfocus: () => input.select(),
    oninput: () => { const value = Number.parseInt(input.value, 10); if (value >= low && value <= high) put(value); },
    onblur: () => update(),
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      const by = event.key === "ArrowUp" ? 1 : event.key === "ArrowDown" ? -1 : 0;
      if (by) { event.preventDefault(); step(by); input.select(); }
    },
  });
  const step = (/** @type {number} */ by) => {
    put(Math.min(high, Math.max(low, get() + by)));
    input.value = String(get());
  };
  const button = (/** @type {number} */ by, /** @type {string} */ sign) => h("button", {
    type: "button", class: "stepper__button", tabindex: "-1", "aria-label": `${label} ${by > 0 ? "+1" : "−1"}`,
    onclick: () => step(by) }, icon(sign, "icon icon--small"));
  const element = h("div", { class: "stepper" }, button(-1, "minus"), input, button(1, "plus"));
  element.addEventListener("wheel", (/** @type {WheelEvent} */ event) => {
    event.preventDefault();
    step(event.deltaY < 0 ? 1 : -1);
  }, { passive: false });
  const update = () => {
    const value = String(get());
    set(input, "aria-valuenow", value);
    if (document.activeElement !== input && input.value !== value) input.value = value;
  };
  return { element, input, update };
}

/**
 * @param {{label: string, name: string, hint?: string, get: () => string, put: (value: string) => void}} options
 */
export function textField({ label, name, hint, get, put }) {
  made += 1;
  const id = `field-${made}`;
  const input = h("input", { id, name, type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    "aria-describedby": hint ? `${id}-hint` : null, oninput: () => put(input.value) });
  const element = h("div", { class: "field" }, h("label", { for: id }, label), input,
    hint && h("p", { class: "field__hint", id: `${id}-hint` }, hint));
  const update = () => {
    const value = get();
    if (document.activeElement !== input && input.value !== value) input.value = value;
  };
  return { element, input, update };
}

/**
 * @param {{label: string, get: () => boolean, put: (value: boolean) => void, title?: string}} options
 */
export function toggle({ label, get, put, title }) {
  const element = h("button", { type: "button", class: "toggle", title, onclick: () => put(!get()) }, label);
  return { element, update: () => set(element, "aria-pressed", String(get())) };
}

/**
 * @param {string} sign icon
 * @param {string} label
 * @param {() => void} act
 * @param {{key?: string, kind?: string, wide?: boolean}} [options] key: its keyboard shortcut, as shown
 */
export function tool(sign, label, act, { key, kind = "", wide = true } = {}) {
  return h("button", { type: "button", class: `button ${wide ? "" : "button--icon"} ${kind}`,
    "aria-label": wide ? null : label, title: key ? `${label} (${key})` : label,
    "aria-keyshortcuts": key ?? null, onclick: act }, icon(sign), wide && h("span", null, label));
}
