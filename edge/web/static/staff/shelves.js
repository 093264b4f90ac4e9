/** The shelves: each camera's picture or drawing with its slots, one slot in detail, all in a table. */

import { h, icon, list, set, setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { ago, clock } from "../lib/time.js";
import { shelfMap } from "./map.js";
import { cameraWords, heading, realignLink } from "./parts.js";
import { slotDetail } from "./detail.js";
import { slotTable } from "./table.js";

/** @typedef {import("./model.js").Camera} Camera */

const LEGEND = ["empty", "misplaced", "stocked", "unknown", "blocked", "stale"];
const PICTURE_EVERY_MS = 1000;
const OLDER_MS = 15_000; // than the newest: somebody has stood there since, and it is said

/**
 * @param {import("./card.js").Hands} hands
 * @returns {any} a <section> with update(state) and select(slot)
 */
export function shelvesView(hands) {
  const tabs = h("div", { class: "cameras", role: "group", "aria-label": t("shelves.cameras") });
  const troubleWords = h("span");
  const realign = realignLink();
  const trouble = h(
    "div",
    { class: "notice notice--alert" },
    icon("camera-off"),
    h("p", null, troubleWords, " ", realign),
  );
  const photo = h("img", {
    class: "stage__photo",
    alt: "",
    decoding: "async",
    onerror: () => (photo.hidden = true),
    onload: () => (photo.hidden = false),
  });
  const map = shelfMap(select);
  const stage = h("div", { class: "stage" }, photo, map);
  const status = h("p", { class: "muted small" });
  const none = h("p", { class: "muted" }, t("shelves.no_slots"));
  const detail = slotDetail(hands);
  const table = slotTable(select);
  const root = h(
    "section",
    { class: "view shelves", id: "shelves", "aria-labelledby": "shelves-title" },
    heading(t("tabs.shelves"), "shelves-title", status),
    tabs,
    trouble,
    h("figure", { class: "panel shelf" }, stage, none, legend()),
    detail,
    h(
      "details",
      { class: "panel fold" },
      h("summary", null, icon("next", "icon later__mark"), t("shelves.table")),
      table,
    ),
  );
  /** @type {any} */
  let state = null;
  /** @type {string | null} */
  let shown = null;
  /** @type {string | null} */
  let picked = null;
  let painted = 0;

  function select(id) {
    const slot = state.slots.find((one) => one.id === id);
    picked = slot ? id : null;
    if (slot) shown = slot.camera;
    draw();
  }

  function draw() {
    const camera = state.cameras.find((one) => one.id === shown) ?? state.cameras[0];
    shown = camera?.id ?? null;
    set(tabs, "hidden", state.cameras.length < 2);
    list(
      tabs,
      state.cameras,
      (one) => one.id,
      (one) => cameraTab(one, (id) => ((shown = id), (picked = null), draw())),
    );
    for (const tab of tabs.children) set(tab, "aria-pressed", String(tab.dataset.camera === shown));
    const slots = state.slots.filter((slot) => slot.camera === shown);
    const aspect = camera?.aspect ?? 4 / 3;
    stage.style.setProperty("--aspect", String(aspect));
    map.update(slots, aspect, picked);
    none.hidden = slots.length > 0 || !state.loaded;
    paint(camera);
    setText(status, camera ? statusWords(camera) : "");
    warn(camera);
    detail.update(state.slots.find((slot) => slot.id === picked) ?? null);
    table.update(state.slots, state.cameras);
  }

  /** The newest picture on which nobody stands in front; not more often than once a second. */
  function paint(camera) {
    const there = state.settings.pictures && camera && camera.picture !== null;
    stage.classList.toggle("stage--drawn", !there);
    if (!there) {
      photo.removeAttribute("src");
      photo.hidden = true;
      return;
    }
    const url = `/api/cameras/${encodeURIComponent(camera.id)}.jpg?v=${camera.picture}`;
    const other = photo.dataset.camera !== camera.id;
    const seen = !document.hidden && root.offsetParent !== null;
    if (
      photo.getAttribute("src") === url ||
      (!other && (!seen || Date.now() - painted < PICTURE_EVERY_MS))
    )
      return;
    painted = Date.now();
    photo.dataset.camera = camera.id;
    set(photo, "alt", t("shelves.picture_alt", { camera: camera.id }));
    set(photo, "src", url);
  }

  /** @param {Camera | undefined} camera */
  function warn(camera) {
    const bad = Boolean(camera) && camera.status !== "online";
    trouble.hidden = !bad;
    stage.classList.toggle("stage--old", bad && camera.reason !== "moved");
    if (!bad) return;
    const words = [cameraWords(camera), t("camera.since", { time: clock(camera.since) })];
    setText(troubleWords, [camera.id, ...words].join(" · "));
    realign.update(camera);
  }

  function statusWords(camera) {
    if (!camera.last_frame) return t("shelves.no_frame");
    const words = [t("shelves.last_frame", { ago: ago(camera.last_frame) })];
    if (!state.settings.pictures || camera.picture === null) words.push(t("shelves.drawing"));
    else if (Date.parse(camera.last_frame) - camera.picture > OLDER_MS)
      words.push(t("shelves.quiet", { ago: ago(new Date(camera.picture).toISOString()) }));
    return words.join(" · ");
  }

  root.update = (next) => {
    state = next;
    draw();
  };
  root.select = select;
  return root;
}

/** A camera's button: its name, its trouble, how many of its slots are not stocked. */
function cameraTab(camera, choose) {
  const sign = h("span", { class: "cameras__sign" });
  const element = h(
    "button",
    {
      type: "button",
      class: "cameras__tab",
      dataset: { camera: camera.id },
      onclick: () => choose(camera.id),
    },
    sign,
    h("span", null, camera.id),
  );
  element.update = (/** @type {Camera} */ now) => {
    const bad = now.status !== "online";
    set(element, "aria-label", `${now.id} · ${cameraWords(now)}`);
    element.classList.toggle("cameras__tab--bad", bad);
    if (sign.dataset.status === now.status) return;
    sign.dataset.status = now.status;
    sign.replaceChildren(icon(bad ? "camera-off" : "camera"));
  };
  return element;
}

function legend() {
  return h(
    "figcaption",
    { class: "legend", "aria-label": t("shelves.legend") },
    LEGEND.map((name) =>
      h(
        "span",
        { class: "legend__item" },
        h("span", { class: `legend__sign legend__sign--${name}` }, icon(name)),
        t(name === "blocked" || name === "stale" ? `visibility.${name}` : `state.${name}`),
      ),
    ),
  );
}
