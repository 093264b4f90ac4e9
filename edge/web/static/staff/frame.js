/** The page around the views: header, connection, tabs, title. */

import { h, icon, set, setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { languageButton } from "../lib/language.js";
import { clock } from "../lib/time.js";

export const VIEWS = ["todo", "shelves", "history", "health"];

/**
 * @param {() => void} settings opens the sheet
 * @returns {any} an element with update(state)
 */
export function header(settings) {
  const name = h("h1");
  const words = h("span");
  const link = h("p", { class: "live" }, h("span", { class: "live__dot" }), words);
  const root = h(
    "header",
    { class: "bar" },
    h("div", { class: "bar__title" }, name, link),
    h(
      "a",
      { class: "button button--quiet bar__draw", href: "/calibrate" },
      icon("pencil"),
      h("span", null, t("tabs.calibrate")),
    ),
    languageButton("button button--quiet language"),
    h(
      "button",
      {
        class: "button button--icon button--quiet",
        type: "button",
        "aria-label": t("settings.title"),
        onclick: settings,
      },
      icon("settings"),
    ),
  );
  root.update = (state) => {
    setText(name, state.node);
    const kind = state.live ? "live" : state.heard ? "reconnecting" : "connecting";
    set(link, "dataset", { kind });
    setText(words, t(`live.${kind}`));
  };
  return root;
}

/** What is on screen is old: since when, said until there is news again. */
export function offlineBanner() {
  const words = h("strong");
  const root = h(
    "div",
    { class: "offline notice", hidden: true },
    icon("alert"),
    h("p", null, words, " ", t("live.offline_hint")),
  );
  root.update = (state) => {
    root.hidden = !state.silent;
    document.body.classList.toggle("is-old", state.silent);
    if (state.silent) setText(words, `${t("live.offline", { time: clock(state.heard) })}.`);
  };
  return root;
}

/** The tabs of a phone; on a wide screen everything is there and they are not. */
export function tabs() {
  const badges = {
    todo: h("span", { class: "tabs__count" }),
    shelves: h("span", { class: "tabs__dot" }),
  };
  const links = VIEWS.map((view) =>
    h(
      "a",
      { class: "tabs__tab", href: `#${view}`, dataset: { view } },
      h("span", { class: "tabs__icon" }, icon(view), badges[view]),
      h("span", null, t(`tabs.${view}`)),
    ),
  );
  const root = h("nav", { class: "tabs", "aria-label": t("tabs.label") }, links);
  root.update = (state, view) => {
    for (const link of links) set(link, "aria-current", link.dataset.view === view ? "page" : null);
    setText(badges.todo, state.open || "");
    badges.todo.hidden = !state.open;
    badges.shelves.hidden = state.cameras.every((camera) => camera.status === "online");
  };
  return root;
}

/** The tab's title and its sign tell of open incidents while another tab is in front. */
export function retitle(open, view, node) {
  const page = view === "todo" ? t("app.todo") : t(`tabs.${view}`);
  const title = open
    ? t("app.title", { n: open, page, node })
    : t("app.title_none", { page, node });
  if (document.title !== title) document.title = title;
  const sign = document.querySelector('link[rel="icon"]');
  set(sign, "href", open ? "/static/favicon-alert.svg" : "/static/favicon.svg");
}
