/** The form that asks for the PIN: the login page, and over a page whose session has ended. */

import { h, icon, set, setText } from "./dom.js";
import { t } from "./i18n.js";
import { ApiError, send } from "./net.js";
import { getPref, setPref } from "./prefs.js";

/**
 * @param {{tls: boolean, done: () => void}} options done: called once signed in
 * @returns {HTMLFormElement}
 */
export function pinForm({ tls, done }) {
  const error = h("p", { class: "field__error", id: "pin-error", role: "alert" });
  const pin = h("input", {
    id: "pin",
    name: "pin",
    type: "password",
    inputmode: "numeric",
    autocomplete: "current-password",
    required: true,
    maxlength: 64,
    "aria-describedby": "pin-error",
    class: "pin",
  });
  const name = h("input", {
    id: "device",
    name: "name",
    type: "text",
    autocomplete: "nickname",
    maxlength: 40,
    value: getPref("name") ?? "",
    "aria-describedby": "device-hint",
  });
  const submit = h(
    "button",
    { class: "button button--primary", type: "submit" },
    t("login.submit"),
  );
  let counting = 0;

  function fail(text) {
    setText(error, text);
    set(pin, "aria-invalid", "true");
    pin.select();
    pin.focus();
  }

  function wait(seconds) {
    clearInterval(counting);
    const until = Date.now() + 1000 * seconds;
    const count = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      submit.disabled = left > 0;
      setText(error, left > 0 ? t("login.wait", { s: left }) : "");
      if (left <= 0) clearInterval(counting);
    };
    counting = setInterval(count, 1000);
    count();
  }

  async function signIn(event) {
    event.preventDefault();
    if (submit.disabled) return;
    submit.disabled = true;
    try {
      await send("POST", "/api/session", { pin: pin.value.trim(), name: name.value.trim() });
      setPref("name", name.value.trim() || null);
      done();
    } catch (problem) {
      submit.disabled = false;
      if (!(problem instanceof ApiError)) throw problem;
      if (problem.code === "wait") wait(problem.body?.error?.seconds ?? 30);
      else if (problem.code === "network") fail(t("login.network"));
      else if (problem.code === "wrong_pin") fail(t("login.wrong"));
      else fail(problem.message);
    }
  }

  return h(
    "form",
    { class: "pin-form", onsubmit: signIn, novalidate: true },
    h("div", { class: "field" }, h("label", { for: "pin" }, t("login.pin")), pin, error),
    h(
      "div",
      { class: "field" },
      h("label", { for: "device" }, t("login.name")),
      name,
      h("p", { class: "field__hint", id: "device-hint" }, t("login.name_hint")),
    ),
    submit,
    honest(tls),
  );
}

/** What the PIN protects and what it does not, said before it is typed. */
function honest(tls) {
  if (tls) return sealed();
  return isSecureContext ? null : plain(); // on this PC itself nobody can listen
}

function sealed() {
  return h("p", { class: "honest" }, icon("lock"), h("span", null, t("login.tls")));
}

function plain() {
  return h(
    "div",
    { class: "notice honest" },
    icon("alert"),
    h(
      "div",
      null,
      h("p", { class: "honest__head" }, t("login.plain")),
      h("p", null, t("login.plain_does")),
      h("p", null, t("login.plain_does_not")),
      h("p", null, t("login.plain_fix")),
    ),
  );
}
