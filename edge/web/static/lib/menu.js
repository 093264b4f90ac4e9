/** A button that opens a short list of choices. Arrow keys move, Esc closes and gives focus back. */

import { h, icon } from "./dom.js";

/**
 * @param {{label: string, name: string, items: [string, () => void][], disabled?: () => boolean}} options
 *   label: what the button shows; name: its accessible name
 * @returns {any} an element; its `.button` is the button
 */
export function menuButton({ label, name, items, disabled = () => false }) {
  const button = h(
    "button",
    {
      class: "button",
      type: "button",
      "aria-haspopup": "true",
      "aria-expanded": "false",
      "aria-label": name,
      onclick: toggle,
    },
    h("span", null, label),
    icon("down", "icon icon--small"),
  );
  const root = h("div", { class: "menu", onkeydown: keys, onfocusout: left }, button);
  root.button = button;
  /** @type {HTMLElement | null} */
  let open = null;

  function toggle() {
    if (open) return close();
    if (disabled()) return;
    open = h(
      "div",
      { class: "menu__list", role: "group", "aria-label": name },
      items.map(([words, choose]) =>
        h(
          "button",
          {
            type: "button",
            onclick: () => {
              close();
              button.focus({ preventScroll: true });
              choose();
            },
          },
          words,
        ),
      ),
    );
    root.append(open);
    button.setAttribute("aria-expanded", "true");
    const box = open.getBoundingClientRect();
    open.classList.toggle(
      "menu__list--up",
      box.bottom > innerHeight - 80 && box.top > box.height + 120,
    );
    open.querySelector("button").focus({ preventScroll: true });
    document.addEventListener("pointerdown", outside);
  }

  function close() {
    open?.remove();
    open = null;
    button.setAttribute("aria-expanded", "false");
    document.removeEventListener("pointerdown", outside);
  }

  function outside(event) {
    if (!root.contains(event.target)) close();
  }

  function left(event) {
    if (open && event.relatedTarget && !root.contains(event.relatedTarget)) close();
  }

  function keys(event) {
    if (!open) return;
    const choices = [...open.querySelectorAll("button")];
    const at = choices.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") {
      close();
      button.focus();
    } else if (step) {
      event.preventDefault();
      choices[(at + step + choices.length) % choices.length].focus();
    }
  }

  return root;
}
