/** All slots as a table: the full alternative to the map. */

import { h, list, setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { ago, clock } from "../lib/time.js";
import { placeWords, seenAt } from "./model.js";
import { stateChip } from "./parts.js";

/**
 * @param {(slot: string) => void} pick
 * @returns {any} an element with update(slots, cameras)
 */
export function slotTable(pick) {
  const body = h("tbody");
  const columns = ["slot", "state", "since", "seen", "place", "sku"];
  const root = h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": t("shelves.table") },
    h(
      "table",
      { class: "table" },
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          columns.map((name) => h("th", { scope: "col" }, t(`shelves.${name}`))),
        ),
      ),
      body,
    ),
  );
  /** @type {import("./model.js").Camera[]} */
  let cameras = [];
  root.update = (slots, nowCameras) => {
    cameras = nowCameras;
    if (root.offsetParent !== null || body.childElementCount === 0)
      list(
        body,
        slots,
        (slot) => slot.id,
        (slot) => line(slot, pick, () => cameras),
      );
  };
  return root;
}

function line(slot, pick, cameras) {
  const name = h("button", { class: "link", type: "button", onclick: () => pick(slot.id) });
  const chip = stateChip();
  const [since, seen, place, sku] = [h("td"), h("td"), h("td"), h("td")];
  const element = h(
    "tr",
    null,
    h("th", { scope: "row" }, name),
    h("td", null, chip),
    since,
    seen,
    place,
    sku,
  );
  element.update = (/** @type {import("./model.js").Slot} */ now) => {
    setText(name, now.name);
    chip.update(now);
    setText(since, now.since ? clock(now.since) : "–");
    setText(seen, ago(seenAt(now, cameras())));
    setText(place, placeWords(now));
    setText(sku, now.sku ?? "–");
  };
  return element;
}
