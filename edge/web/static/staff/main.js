/** The staff page. News come in by lib/live.js, go into one store, and every view draws from it. */

import { h, icon } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { openLive } from "../lib/live.js";
import { pinForm } from "../lib/pin.js";
import { staySignedIn } from "../lib/session.js";
import { choice, openSettings } from "../lib/settings.js";
import { createStore } from "../lib/store.js";
import { announce } from "../lib/toast.js";
import { createActions } from "./actions.js";
import { header, offlineBanner, retitle, tabs, VIEWS } from "./frame.js";
import { healthView } from "./health.js";
import { historyView } from "./history.js";
import { NOTHING, patched, sections } from "./model.js";
import { shelvesView } from "./shelves.js";
import { ring, setSound, soundWanted } from "./sound.js";
import { todoView } from "./todo.js";

const TICK_MS = 5000;
const wide = matchMedia("(min-width: 62.5rem)"); // 1000 px: all views at once

/** What the daemon told, whether it still does, and what is on its way to it. */
const store = createStore({
  ...NOTHING,
  loaded: false,
  live: false,
  silent: false,
  heard: 0,
  pending: /** @type {Record<string, string>} */ ({}),
});

const actions = createActions(
  (slot, verb) => store.set(({ pending }) => ({ pending: { ...pending, [slot]: verb } })),
  (slot) => page.todo.acted(slot),
);
const hands = {
  ...actions,
  settings: () => store.get().settings,
  recent: () => store.get().recent,
  pending: (/** @type {string} */ slot) => store.get().pending[slot] ?? null,
  show(/** @type {string} */ slot) {
    if (!wide.matches) location.hash = "#shelves";
    page.shelves.select(slot);
    page.shelves.scrollIntoView({ block: "start" });
  },
};

let page = build();

/** Makes the whole page; again when the language changes. */
function build() {
  const parts = {
    header: header(settings),
    offline: offlineBanner(),
    todo: todoView(hands),
    shelves: shelvesView(hands),
    history: historyView(),
    health: healthView(),
    tabs: tabs(),
  };
  const main = h(
    "main",
    { id: "main", tabindex: "-1" },
    parts.offline,
    h(
      "div",
      { class: "views" },
      parts.todo,
      h("div", { class: "side" }, parts.shelves, parts.history, parts.health),
    ),
  );
  document.querySelectorAll("body > .page").forEach((old) => old.remove());
  document.body.prepend(
    h(
      "div",
      { class: "page" },
      h("a", { class: "skip", href: "#main", onclick: skip }, t("app.skip")),
      parts.header,
      main,
      parts.tabs,
    ),
  );
  return parts;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function currentView() {
  const view = location.hash.slice(1);
  return VIEWS.includes(view) ? view : "todo";
}

function draw(state = store.get()) {
  const view = currentView();
  const open = sections(state.slots).open.length;
  for (const name of VIEWS) page[name].hidden = !wide.matches && name !== view;
  page.header.update(state);
  page.offline.update(state);
  page.tabs.update({ ...state, open }, view);
  page.todo.update(state);
  page.shelves.update(state);
  page.history.tick();
  page.health.tick();
  if (state.loaded) retitle(open, wide.matches ? "todo" : view, state.node);
}

/** The incidents open at the last look; null before the first news. @type {Set<string> | null} */
let known = null;

/**
 * Tells of what newly ran empty or is no longer put off: by ear and to a screen reader. What was
 * there when the page was opened is no news.
 */
function tellNew(slots) {
  const open = sections(slots).open;
  const fresh = known ? open.filter((slot) => !known.has(slot.incident.id)) : [];
  known = new Set(open.map((slot) => slot.incident.id));
  for (const slot of fresh)
    announce(
      t(slot.state === "misplaced" ? "todo.announce_misplaced" : "todo.announce", {
        name: slot.name,
      }),
    );
  if (fresh.length) ring();
}

function settings() {
  const sound = h(
    "div",
    { class: "field" },
    choice(
      "settings.sound",
      soundWanted() ? "on" : "off",
      [
        ["off", t("settings.sound_off")],
        ["on", t("settings.sound_on")],
      ],
      (value) => setSound(value === "on"),
    ),
    h(
      "p",
      { class: "field__hint" },
      t(isSecureContext ? "settings.sound_hint" : "settings.notify_http"),
    ),
  );
  const draw = h("a", { class: "button", href: "/calibrate" }, icon("pencil"), t("tabs.calibrate"));
  openSettings({ extra: [sound, draw] });
}

/** The session ended: the page stays, the PIN is asked for over it until somebody is signed in. */
function askPin() {
  if (document.querySelector("dialog.pin-sheet")) return;
  const dialog = h("dialog", {
    class: "sheet pin-sheet",
    "aria-labelledby": "pin-title",
    oncancel: (event) => event.preventDefault(),
    onclose: () => dialog.isConnected && dialog.showModal(), // a second Esc closes it all the same
  });
  const done = () => {
    dialog.remove();
    dispatchEvent(new Event("stock-signed-in"));
  };
  dialog.append(
    h("h2", { id: "pin-title", class: "sheet__head" }, t("login.again")),
    pinForm({ tls: location.protocol === "https:", done }),
  );
  document.body.append(dialog);
  dialog.showModal();
}

addEventListener("stock-language", () => {
  page = build();
  draw();
  document.querySelector(".language").focus();
});
addEventListener("stock-sign-in", askPin);
addEventListener("hashchange", () => {
  draw();
  scrollTo(0, 0);
});
wide.addEventListener("change", () => draw());
document.addEventListener("visibilitychange", () => draw());
setInterval(tick, TICK_MS);
store.watch(draw);

/** Time alone brings back what was put off. */
function tick() {
  if (document.hidden) return;
  const { loaded, slots } = store.get();
  if (loaded) tellNew(slots);
  draw();
}

staySignedIn();
openLive({
  hello(snapshot) {
    tellNew(snapshot.slots);
    store.set({ ...snapshot, loaded: true });
  },
  patch(news) {
    const after = patched(store.get(), news);
    tellNew(after.slots);
    store.set(after);
  },
  link: ({ live, silent, heard }) => store.set({ live, silent, heard }),
});
