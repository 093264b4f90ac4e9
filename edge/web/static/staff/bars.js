/** Shares as bars. What could not be seen is hatched and never counted as fine. */

import { h } from "../lib/dom.js";
import { percent, t } from "../lib/i18n.js";
import { day, dayOfMonth } from "../lib/time.js";

/**
 * One line: how much of the seen time it was stocked, and beside it what was not seen.
 * @param {number | null} availability
 * @param {number | null} hidden share not visible
 */
export function shareBar(availability, hidden) {
  const seen = 1 - (hidden ?? 0);
  const bar = h(
    "div",
    { class: "share", "aria-hidden": "true" },
    h("span", { class: "share__seen" }),
    h("span", { class: "share__empty" }),
    h("span", { class: "share__hidden" }),
  );
  const shares = [seen * (availability ?? 0), seen * (1 - (availability ?? 0)), 1 - seen];
  shares.forEach((share, at) => bar.children[at].style.setProperty("flex-grow", String(share)));
  return bar;
}

/**
 * A column a day with a mark on it, from the lowest day's ten per cent up to 100 %: a mark, not a
 * bar, because the scale does not begin at 0.
 * @param {{date: string, availability: number | null, not_visible: number | null}[]} days
 */
export function dayBars(days) {
  const least = Math.min(...days.map((one) => one.availability ?? 1));
  const floor = Math.max(0, Math.floor(least * 10 - 0.5) / 10);
  const columns = days.map((one, at) => {
    const words = t("history.day_label", {
      day: day(one.date),
      a: percent(one.availability),
      v: percent(one.not_visible),
    });
    const high = one.availability === null ? 0 : (one.availability - floor) / (1 - floor);
    const mark = h("span", {
      class: one.availability === null ? "days__mark days__mark--none" : "days__mark",
    });
    mark.style.setProperty("bottom", `${100 * high}%`);
    const labelled = days.length <= 7 || at % 7 === (days.length - 1) % 7;
    return h(
      "li",
      { class: "days__day" },
      h(
        "span",
        { class: "days__value", "aria-hidden": "true" },
        days.length <= 7 && one.availability !== null
          ? percent(one.availability).replace(/\s%$/, "")
          : "",
      ),
      h("span", { class: "days__column", role: "img", "aria-label": words, title: words }, mark),
      h(
        "span",
        { class: "days__date", "aria-hidden": "true" },
        labelled ? dayOfMonth(one.date) : "",
      ),
    );
  });
  return h(
    "div",
    { class: "days" },
    h(
      "p",
      { class: "days__scale muted", "aria-hidden": "true" },
      h("span", null, "100 %"),
      h("span", null, percent(floor, 0)),
    ),
    h("ol", { class: "days__columns" }, columns),
  );
}
