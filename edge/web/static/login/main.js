/** The login page: who still has a session goes on at once, everybody else is asked for the PIN. */

import { h, icon } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { languageButton } from "../lib/language.js";
import { getJson, send } from "../lib/net.js";
import { pinForm } from "../lib/pin.js";

/** A link tapped in a messenger comes without the cookie: this page asks again from inside. */
function goOn() {
  location.replace(ours(new URLSearchParams(location.search).get("next") ?? "/"));
}

/** What the link names if it is a page of ours. URL reads it as the browser will, tabs and all. */
function ours(next) {
  try {
    const url = new URL(next, location.origin);
    return url.origin === location.origin ? url.href : "/";
  } catch {
    return "/"; // no address at all
  }
}

function draw(session) {
  document.title = `${t("login.title")} · ${session.node}`;
  const main = h(
    "main",
    { class: "login" },
    h(
      "div",
      { class: "login__card panel" },
      h("img", {
        class: "login__mark",
        src: "/static/favicon.svg",
        alt: "",
        width: 56,
        height: 56,
      }),
      h("h1", { class: "login__title" }, session.node),
      h("p", { class: "muted" }, t("login.prompt")),
      pinForm({ tls: session.tls, done: goOn }),
    ),
    languageButton("button button--quiet", { long: true, then: () => draw(session) }),
  );
  document.querySelector("main")?.remove();
  document.body.prepend(main);
  document.getElementById("pin").focus();
}

/** A QR code may hold the PIN behind the #, which no browser sends. @returns {Promise<boolean>} */
async function signInByCode() {
  const pin = new URLSearchParams(location.hash.slice(1)).get("pin");
  if (!pin) return false;
  history.replaceState(null, "", location.pathname + location.search);
  return send("POST", "/api/session", { pin, name: "" }).then(
    () => true,
    () => false,
  );
}

async function begin() {
  try {
    const session = await getJson("/api/session");
    if (session.signed_in || !session.pin || (await signInByCode())) goOn();
    else draw(session);
  } catch {
    document.body.prepend(
      h(
        "main",
        { class: "login" },
        h("p", { class: "notice", role: "alert" }, icon("alert"), t("login.network")),
      ),
    );
    setTimeout(() => location.reload(), 5000);
  }
}

begin();
