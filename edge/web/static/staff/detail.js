/** One slot in detail, below the map: what is known of it, how it looks, what can be done. */

import { h, setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { ago, clock, lasting, minutesSince } from "../lib/time.js";
import { actionButtons } from "./card.js";
import { evidenceWords, isSnoozed, placeWords, whyUnseen } from "./model.js";
import { pair, stateChip } from "./parts.js";

/**
 * @param {import("./card.js").Hands} hands
 * @returns {any} an element with update(slot | null)
 */
export function slotDetail(hands) {
  const chip = stateChip();
  const name = h("h3", { class: "detail__name" });
  const place = h("p", { class: "muted small" });
  const lines = h("p", { class: "small" });
  const why = h("p", { class: "card__unseen" });
  const pictures = pair();
  const buttons = actionButtons(hands);
  const shown = h(
    "div",
    { class: "detail__body" },
    pictures,
    h("div", { class: "detail__text" }, chip, name, place, lines, why, buttons.doubt),
    buttons.root,
  );
  const hint = h(
    "p",
    { class: "muted small" },
    t("shelves.pick"),
    " ",
    h("span", { class: "by-keys" }, t("shelves.hint")),
  );
  const root = h(
    "section",
    { class: "detail panel", "aria-label": t("shelves.selected") },
    hint,
    shown,
  );

  root.update = (/** @type {import("./model.js").Slot | null} */ slot) => {
    shown.hidden = !slot;
    hint.hidden = Boolean(slot);
    if (!slot) return;
    chip.update(slot);
    setText(name, slot.name);
    setText(place, [placeWords(slot), slot.sku].filter(Boolean).join(" · "));
    setText(lines, facts(slot).join(" · "));
    setText(why, whyUnseen(slot) ?? "");
    pictures.update(slot);
    buttons.root.hidden = !slot.incident || Boolean(slot.incident.ack) || isSnoozed(slot);
    buttons.doubt.hidden = buttons.root.hidden;
    if (!buttons.root.hidden) buttons.update(slot);
  };
  return root;
}

function facts(slot) {
  const incident = slot.incident;
  return [
    slot.since &&
      (incident
        ? lasting(minutesSince(incident.opened_at))
        : t("camera.since", { time: clock(slot.since) })),
    incident?.ack &&
      `${t("todo.taken")} · ${t("card.taken_by", { by: incident.ack.by, ago: ago(incident.ack.at) })}`,
    isSnoozed(slot) && t("card.until", { time: clock(incident.snooze_until) }),
    ...evidenceWords(slot),
  ].filter(Boolean);
}
