/** An incident that needs nobody else now: taken by somebody, or put off. One line and the way back. */

import { h, set, setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { ago, clock, lasting, minutesSince } from "../lib/time.js";
import { about } from "./card.js";
import { picture } from "./parts.js";

/**
 * @param {import("./model.js").Slot} slot
 * @param {import("./card.js").Hands} hands
 * @param {"taken" | "later"} kind
 * @returns {any} an <li> with update(slot)
 */
export function row(slot, hands, kind) {
  const id = `${kind}-${slot.id}`;
  const name = h("h3", { class: "row__name", id });
  const line = h("p", { class: "row__line" });
  const shot = picture("now", false);
  const back = h(
    "button",
    { class: "button", type: "button", onclick: () => idle() && goBack() },
    t(kind === "taken" ? "act.release" : "act.unsnooze"),
  );
  const notEmpty = h("button", {
    class: "button button--quiet",
    type: "button",
    onclick: () => idle() && hands.act("not_empty", about(slot)),
  });
  const idle = () => hands.pending(slot.id) === null && slot.incident !== null;

  function goBack() {
    if (kind === "taken") hands.act("release", about(slot));
    else hands.act("snooze", about(slot), { minutes: 0 });
  }

  function words() {
    const age = lasting(minutesSince(slot.incident.opened_at));
    if (kind === "later")
      return `${t(`state.${slot.state}`)} · ${age} · ${t("card.until", { time: clock(slot.incident.snooze_until) })}`;
    return `${t("card.taken_by", { by: slot.incident.ack.by, ago: ago(slot.incident.ack.at) })} · ${age}`;
  }

  const element = h(
    "li",
    { class: "row", dataset: { slot: slot.id } },
    h(
      "article",
      { class: "row__body", "aria-labelledby": id },
      shot,
      h("div", { class: "row__text" }, name, line),
      h("div", { class: "row__actions" }, notEmpty, back),
    ),
  );
  element.update = (/** @type {import("./model.js").Slot} */ now) => {
    slot = now;
    const no = t(now.state === "misplaced" ? "act.not_misplaced" : "act.not_empty");
    setText(name, now.name);
    setText(line, words());
    setText(notEmpty, no);
    set(notEmpty, "aria-label", t("act.of", { name: now.name, act: no }));
    set(back, "aria-label", t("act.of", { name: now.name, act: back.textContent }));
    for (const one of [back, notEmpty]) set(one, "aria-disabled", idle() ? null : "true");
    shot.update(now);
  };
  return element;
}
