/** The sheet of settings that both pages open: language, appearance, name, and what a page adds. */

import { h, icon } from "./dom.js";
import { lang, setLang, t } from "./i18n.js";
import { getJson, send } from "./net.js";
import { getPref, getTheme, setPref, setTheme } from "./prefs.js";

/** @param {{extra?: HTMLElement[]}} options extra: the page's own fields, made anew each time */
export function openSettings({ extra = [] } = {}) {
  const close = () => dialog.close();
  const foot = h("div", { class: "settings__foot" });
  const dialog = h(
    "dialog",
    { class: "sheet", "aria-labelledby": "settings-title", onclose: () => dialog.remove() },
    h(
      "div",
      { class: "sheet__head" },
      h("h2", { id: "settings-title" }, t("settings.title")),
      h(
        "button",
        {
          class: "button button--icon button--quiet",
          type: "button",
          "aria-label": t("settings.close"),
          onclick: close,
        },
        icon("close"),
      ),
    ),
    h(
      "div",
      { class: "settings" },
      choice(
        "settings.language",
        lang(),
        [
          ["ko", "한국어"],
          ["en", "English"],
        ],
        (value) => {
          close();
          setLang(value);
        },
      ),
      choice(
        "settings.theme",
        getTheme(),
        [
          ["auto", t("settings.theme_auto")],
          ["light", t("settings.theme_light")],
          ["dark", t("settings.theme_dark")],
        ],
        setTheme,
      ),
      nameField(),
      extra,
      foot,
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  fillFoot(foot);
}

/** What only the daemon knows; while it is away the rest of the sheet works without. */
async function fillFoot(foot) {
  const session = await getJson("/api/session").catch(() => null);
  if (!session) return;
  foot.append(
    h("p", { class: "muted small" }, t("settings.version", { version: session.version })),
  );
  if (session.pin && session.signed_in)
    foot.append(
      h("button", { class: "button", type: "button", onclick: signOut }, t("settings.sign_out")),
    );
}

/**
 * A row of which one is pressed.
 * @param {string} key the label's words
 * @param {string} current
 * @param {[string, string][]} options value and words
 * @param {(value: any) => void} choose
 */
export function choice(key, current, options, choose) {
  const buttons = options.map(([value, words]) =>
    h(
      "button",
      {
        type: "button",
        "aria-pressed": String(value === current),
        lang: key === "settings.language" ? value : null,
        onclick: () => {
          for (const one of buttons)
            one.setAttribute(
              "aria-pressed",
              String(one === buttons[options.findIndex((o) => o[0] === value)]),
            );
          choose(value);
        },
      },
      words,
    ),
  );
  return h(
    "div",
    { class: "settings__row", role: "group", "aria-label": t(key) },
    h("span", { class: "settings__label" }, t(key)),
    h("div", { class: "segmented" }, buttons),
  );
}

function nameField() {
  return h(
    "div",
    { class: "field" },
    h("label", { for: "settings-name" }, t("settings.name")),
    h("input", {
      id: "settings-name",
      type: "text",
      maxlength: 40,
      autocomplete: "nickname",
      value: getPref("name") ?? "",
      "aria-describedby": "settings-name-hint",
      onchange: (event) => setPref("name", event.target.value.trim() || null),
    }),
    h("p", { class: "field__hint", id: "settings-name-hint" }, t("settings.name_hint")),
  );
}

async function signOut() {
  await send("DELETE", "/api/session");
  location.assign("/login");
}
