/** What to do now: open incidents first, then what somebody has taken, then what is put off. */

import { h, icon, list, set, setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { ago, clock } from "../lib/time.js";
import { watchHands } from "./calm.js";
import { card } from "./card.js";
import { proof, sections } from "./model.js";
import { heading } from "./parts.js";
import { recentList } from "./recent.js";
import { row } from "./row.js";

/** @typedef {import("./model.js").Slot} Slot */

/**
 * @param {import("./card.js").Hands & {takeBack: (verb: any, about: any) => void}} hands
 * @returns {any} a <section> with update(state) and acted(slot)
 */
export function todoView(hands) {
  const count = h("h2", { id: "todo-title", tabindex: "-1" });
  const checked = h("p", { class: "muted small" });
  const trouble = h("a", { class: "notice notice--alert trouble", href: "#shelves" });
  const fresh = h("button", { class: "button fresh", type: "button", onclick: () => show(true) });
  const open = h("ul", { class: "cards", "aria-labelledby": "todo-title" });
  const nothing = emptyState();
  const takenTitle = heading(t("todo.taken"), "taken-title");
  const taken = h("ul", { class: "rows panel", "aria-labelledby": "taken-title" });
  const laterWords = h("span");
  const laterNext = h("span", { class: "muted" });
  const later = h("ul", { class: "rows" });
  const put = h(
    "details",
    { class: "later panel" },
    h("summary", null, icon("next", "icon later__mark"), laterWords, laterNext),
    later,
  );
  const recent = recentList(hands);
  const root = h(
    "section",
    { class: "view todo", id: "todo", "aria-labelledby": "todo-title" },
    h("div", { class: "heading" }, count, checked),
    trouble,
    fresh,
    open,
    nothing,
    h("div", { class: "group" }, takenTitle, taken),
    put,
    recent,
  );

  const busy = watchHands(open, () => show(false));
  /** @type {any} */
  let state = null;
  /** @type {string[]} */
  let shown = [];
  /** Own actions: those cards may go at once, whoever's finger it is. @type {Set<string>} */
  const mine = new Set();

  root.update = (next) => {
    state = next;
    show(false);
  };
  root.acted = (/** @type {string} */ slot) => mine.add(slot);

  /** @param {boolean} asked the person wants to see the new ones: move things now */
  function show(asked) {
    if (!state) return;
    const now = sections(state.slots);
    const cards = busy() && !asked ? held(now.open) : now.open;
    const hidden = now.open.length - now.open.filter((slot) => cards.includes(slot)).length;
    keepFocus(cards, () =>
      list(
        open,
        cards,
        (slot) => slot.id,
        (slot) => card(slot, hands),
      ),
    );
    shown = cards.map((slot) => slot.id);
    for (const id of mine) if (!now.open.some((slot) => slot.id === id)) mine.delete(id);

    fresh.hidden = hidden === 0;
    setText(fresh, t("todo.new", { n: hidden }));
    setText(count, now.open.length ? t("todo.count", { n: now.open.length }) : t("tabs.todo"));
    setText(checked, state.heard ? t("todo.checked", { time: clock(state.heard, true) }) : "");
    list(
      taken,
      now.taken,
      (slot) => slot.id,
      (slot) => row(slot, hands, "taken"),
    );
    taken.parentElement.hidden = now.taken.length === 0;
    list(
      later,
      now.later,
      (slot) => slot.id,
      (slot) => row(slot, hands, "later"),
    );
    put.hidden = now.later.length === 0;
    setText(laterWords, t("todo.snoozed", { n: now.later.length }));
    if (now.later.length)
      setText(
        laterNext,
        t("todo.snoozed_next", { time: clock(now.later[0].incident.snooze_until) }),
      );
    nothing.hidden = cards.length > 0;
    nothing.update(state, now.taken.length + now.later.length > 0);
    warn();
    recent.update(state.recent);
  }

  /** Nothing moves: the cards stay in their order, also those closed or taken elsewhere. */
  function held(wanted) {
    const slots = new Map(state.slots.map((/** @type {Slot} */ slot) => [slot.id, slot]));
    const gone = (id) => mine.has(id) && !wanted.some((slot) => slot.id === id);
    return shown.filter((id) => slots.has(id) && !gone(id)).map((id) => slots.get(id));
  }

  /** Where the focused card goes, its successor gets the focus: the next thing to do. */
  function keepFocus(cards, change) {
    const focused = document.activeElement?.closest?.(".cards__item");
    const id = focused && open.contains(focused) ? focused.dataset.slot : null;
    const at = id === null ? -1 : shown.indexOf(id);
    change();
    if (at < 0 || cards.some((slot) => slot.id === id)) return;
    const next = [...shown.slice(at + 1), ...shown.slice(0, at).reverse()].find((one) =>
      cards.some((slot) => slot.id === one),
    );
    const item = next && [...open.children].find((child) => child.dataset.slot === next);
    (item?.querySelector("button") ?? count).focus({ preventScroll: true });
  }

  function warn() {
    const bad = state.cameras.filter((camera) => camera.status !== "online").length;
    trouble.hidden = bad === 0;
    if (bad && trouble.dataset.n !== String(bad)) {
      set(trouble, "dataset", { n: bad });
      trouble.replaceChildren(
        icon("camera-off"),
        h("span", null, t("todo.camera_trouble", { n: bad })),
        icon("next", "icon trouble__go"),
      );
    }
  }

  return root;
}

/** Nothing to do is a state with proof, or it says what it does not know. */
function emptyState() {
  const mark = h("span", { class: "nothing__mark" }, icon("check"));
  const title = h("p", { class: "nothing__title" });
  const lines = h("ul", { class: "nothing__lines" });
  const root = h("div", { class: "nothing panel" }, mark, title, lines);
  root.update = (state, some) => {
    const known = proof(state.slots, state.cameras);
    const sure = state.loaded && known.all > 0 && known.unseen === 0 && known.checking === 0;
    mark.hidden = !sure;
    setText(title, headline(state, known, some));
    list(
      lines,
      state.loaded ? proofLines(known) : [],
      (line) => line[0],
      (line) => {
        const item = h("li", { class: line[2] ? "nothing__doubt" : null });
        item.update = (one) => setText(item, one[1]);
        return item;
      },
    );
  };
  return root;
}

function headline(state, known, some) {
  if (!state.loaded) return t("todo.waiting_data");
  if (known.all === 0) return t("todo.no_slots");
  return t(some ? "todo.none_open" : "todo.none");
}

/** @returns {[string, string, boolean][]} key, words, whether it is a doubt */
function proofLines(known) {
  if (known.all === 0) return [["hint", t("todo.no_slots_hint"), false]];
  const clear = known.all - known.unseen;
  const words = known.unseen === 0 ? "todo.proof" : "todo.proof_seen";
  const lines = clear > 0 ? [["proof", t(words, { n: clear, ago: ago(known.oldest) }), false]] : [];
  if (known.unseen > 0) lines.push(["unseen", t("todo.unseen", { n: known.unseen }), true]);
  if (known.checking > 0) lines.push(["checking", t("todo.checking", { n: known.checking }), true]);
  return lines;
}
