/** One open incident: what is missing where, how sure that is, and what can be done about it. */

import { h, list, set, setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { menuButton } from "../lib/menu.js";
import { lasting, minutesSince } from "../lib/time.js";
import { ageStep, evidenceWords, minutesToday, placeWords, whyUnseen } from "./model.js";
import { pair, stateChip } from "./parts.js";
import { deedWords } from "./recent.js";

/** @typedef {import("./model.js").Slot} Slot */
/** @typedef {import("./model.js").Recent} Recent */
/**
 * @typedef {{act: (verb: any, about: any, options?: any) => Promise<boolean>,
 *   settings: () => import("./model.js").Settings, recent: () => Recent[],
 *   pending: (slot: string) => string | null, show: (slot: string) => void}} Hands what a card can do
 */

/** @param {Slot} slot */
export function about(slot) {
  return { slot: slot.id, name: slot.name, incident_id: slot.incident?.id };
}

/**
 * An open incident.
 * @param {Slot} slot
 * @param {Hands} hands
 * @returns {any} an <li> with update(slot)
 */
export function card(slot, hands) {
  const title = h("h3", { class: "card__name", id: `card-${slot.id}` });
  const chip = stateChip();
  const urgency = h("span", { class: "card__urgency" });
  const age = h("span");
  const where = h("button", { class: "link", type: "button", onclick: () => hands.show(slot.id) });
  const priority = h("span");
  const place = h("p", { class: "card__place" }, where, priority);
  const evidence = h("ul", { class: "card__evidence" });
  const unseen = h("p", { class: "card__unseen" });
  const closed = h("p", { class: "card__closed" });
  const pictures = pair();
  const buttons = actionButtons(hands);
  const article = h(
    "article",
    { class: "card panel", "aria-labelledby": `card-${slot.id}` },
    pictures,
    h("div", { class: "card__head" }, chip, h("p", { class: "card__age" }, urgency, " ", age)),
    h("div", { class: "card__text" }, title, place, evidence, unseen, buttons.doubt),
    buttons.root,
    closed,
  );
  const element = h("li", { class: "cards__item", dataset: { slot: slot.id } }, article);
  let incidentId = "";
  /** What closed the incident. @type {Recent | null} */
  let end = null;

  element.update = (/** @type {Slot} */ now) => {
    const step = ageStep(now, hands.settings());
    article.dataset.state = now.state;
    article.dataset.step = String(Math.min(step, 2));
    setText(title, now.name);
    chip.update(now);
    setText(urgency, step > 1 ? t("age.urgent") : step > 0 ? t("age.waiting") : "");
    if (now.incident) setText(age, lasting(minutesSince(now.incident.opened_at)));
    setText(where, placeWords(now));
    set(where, "aria-label", `${placeWords(now)} · ${t("act.show")}`);
    setText(priority, now.priority === null ? "" : ` · ${t("card.priority", { n: now.priority })}`);
    list(
      evidence,
      evidenceWords(now),
      (words) => words,
      (words) => h("li", null, words),
    );
    setText(unseen, whyUnseen(now) ?? "");
    pictures.update(now);
    buttons.update(now);
    finish(now);
  };

  /** It was closed or taken elsewhere while a finger is on the list: say so, and stay in place. */
  function finish(now) {
    const { incident } = now;
    article.classList.toggle("card--done", !incident || Boolean(incident.ack));
    if (incident) {
      incidentId = incident.id;
      end = null;
      setText(closed, incident.ack ? `${t("todo.taken")} · ${incident.ack.by}` : "");
    } else {
      end ??= endOf(incidentId, hands.recent()); // in half an hour it is not among them any more
      setText(closed, end ? deedWords(end) : t("recent.closed"));
    }
  }

  return element;
}

/**
 * @param {string} incidentId
 * @param {Recent[]} recent
 */
function endOf(incidentId, recent) {
  const ends = recent.filter((deed) => deed.kind === "closed" || deed.kind === "not_empty");
  return ends.find((deed) => deed.incident_id === incidentId) ?? null;
}

/**
 * What can be done about an open incident: root holds going there and later, doubt stands beside
 * the evidence that it doubts.
 * @param {Hands} hands
 */
export function actionButtons(hands) {
  /** @type {Slot} */
  let slot;
  const busy = () => hands.pending(slot.id) !== null || !slot.incident;
  const unlessBusy = (act) => () => busy() || act();
  const ack = h("button", {
    class: "button button--primary",
    type: "button",
    onclick: unlessBusy(() => hands.act("ack", about(slot))),
  });
  const notEmpty = h("button", {
    class: "button button--quiet card__no",
    type: "button",
    onclick: unlessBusy(() => hands.act("not_empty", about(slot))),
  });
  const later = menuButton({
    label: t("act.later"),
    name: t("act.later"),
    disabled: busy,
    items: [
      [t("act.snooze_15"), () => hands.act("snooze", about(slot), { minutes: 15 })],
      [t("act.snooze_60"), () => hands.act("snooze", about(slot), { minutes: 60 })],
      [
        t("act.snooze_today"),
        () => hands.act("snooze", about(slot), { minutes: minutesToday() }),
      ],
    ],
  });
  const root = h("div", { class: "card__actions" }, ack, later);

  function update(now) {
    slot = now;
    const off = busy() ? "true" : null;
    const no = now.state === "misplaced" ? t("act.not_misplaced") : t("act.not_empty");
    setText(ack, hands.pending(now.id) ? t("act.sending") : t("act.ack"));
    setText(notEmpty, no);
    set(ack, "aria-label", t("act.of", { name: now.name, act: t("act.ack") }));
    set(notEmpty, "aria-label", t("act.of", { name: now.name, act: no }));
    set(later.button, "aria-label", t("act.later_label", { name: now.name }));
    for (const one of [ack, notEmpty, later.button]) set(one, "aria-disabled", off);
  }

  return { root, doubt: notEmpty, update };
}
