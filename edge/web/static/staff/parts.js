/** Small parts of several views: a slot's pictures, its state in a chip. */

import { h, icon, iconHref, set, setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { stateWords } from "./model.js";

/** @typedef {import("./model.js").Slot} Slot */
/** @typedef {import("./model.js").Camera} Camera */

/**
 * How a camera does, or what is wrong with it.
 * @param {Camera} camera
 */
export function cameraWords(camera) {
  if (camera.moved_by !== null) return t("reason.moved_by", { n: Math.round(100 * camera.moved_by) });
  return camera.reason ? t(`reason.${camera.reason}`) : t(`camera.${camera.status}`);
}

/** Where its slots are put right, if the camera was moved; update(camera). */
export function realignLink() {
  const link = h("a", { hidden: true }, t("reason.moved_fix"));
  link.update = (/** @type {Camera} */ camera) => {
    link.hidden = camera.reason !== "moved";
    set(link, "href", `/calibrate?camera=${encodeURIComponent(camera.id)}`);
  };
  return link;
}

/**
 * A slot's picture with its caption. The old one stays until the new one has come.
 * @param {"now" | "full"} which
 * @param {boolean} [captioned]
 * @returns {any} a <figure> with update(slot)
 */
export function picture(which, captioned = true) {
  const image = h("img", {
    class: "shot__image",
    decoding: "async",
    onload: () => show(true),
    onerror: () => show(false),
  });
  const missing = h(
    "span",
    { class: "shot__missing" },
    icon("camera-off"),
    captioned && t("card.no_picture"),
  );
  const caption = captioned && h("figcaption", { class: "shot__caption" }, t(`card.${which}`));
  const element = h(
    "figure",
    { class: `shot shot--${which}` },
    h("div", { class: "shot__frame" }, image, missing),
    caption,
  );

  function show(there) {
    image.hidden = !there;
    missing.hidden = there;
  }

  element.update = (/** @type {Slot} */ slot) => {
    const url = pictureUrl(slot, which);
    const words =
      which === "now"
        ? t("card.now_alt", { name: slot.name, state: stateWords(slot) })
        : t("card.full_alt", { name: slot.name });
    set(image, "alt", words);
    if (url === null) show(false);
    else if (image.getAttribute("src") !== url) set(image, "src", url);
  };
  show(false);
  return element;
}

/**
 * @param {Slot} slot
 * @param {"now" | "full"} which
 */
function pictureUrl(slot, which) {
  const version = slot[which];
  return version === null
    ? null
    : `/api/slots/${encodeURIComponent(slot.id)}/${which}.jpg?v=${version}`;
}

/** How it looks now beside how it looked when full. */
export function pair() {
  const now = picture("now");
  const full = picture("full");
  const root = h("div", { class: "pictures" }, now, full);
  root.update = (/** @type {Slot} */ slot) => {
    now.update(slot);
    full.update(slot);
    full.hidden = slot.full === null;
  };
  return root;
}

/** The state of a slot as colour, icon and word; update(slot). */
export function stateChip() {
  const word = h("span");
  const root = h("span", { class: "chip" }, icon("unknown"), word);
  root.update = (/** @type {Slot} */ slot) => {
    const sight = slot.visibility === "clear" ? slot.state : slot.visibility;
    set(root, "class", `chip chip--${slot.state}`);
    set(root.querySelector("use"), "href", iconHref(sight));
    setText(word, stateWords(slot));
  };
  return root;
}

/**
 * A heading with something on its right.
 * @param {string} text
 * @param {string | null} id
 * @param {...any} beside
 */
export function heading(text, id, ...beside) {
  return h("div", { class: "heading" }, h("h2", { id }, text), beside);
}
