/** Is it well: cameras, broker, outbox, model, disk, computer, versions; trouble first. */

import { h, icon, iconHref, list, set, setText } from "../lib/dom.js";
import { number, t } from "../lib/i18n.js";
import { ago, clock, duration } from "../lib/time.js";
import { keepLoaded } from "./loader.js";
import { cameraWords, heading, realignLink } from "./parts.js";

const EVERY_MS = 15_000;
const LONG_WAIT_S = 120;

/** @returns {any} a <section> with tick() */
export function healthView() {
  const verdictWords = h("span");
  const verdict = h("p", { class: "verdict" }, icon("check"), verdictWords);
  const vitals = h("dl", { class: "panel vitals" });
  const content = h("div", { class: "health", hidden: true }, verdict, vitals);
  const root = h("section", { class: "view", id: "health", "aria-labelledby": "health-title" });
  const loader = keepLoaded(root, {
    url: () => "/api/health",
    everyMs: EVERY_MS,
    draw,
    failed: "health.failed",
  });
  root.append(heading(t("tabs.health"), "health-title"), loader.problem, content);

  function draw(told) {
    const items = [
      ...told.cameras.map(camera),
      broker(told),
      outbox(told),
      model(told),
      disk(told),
      computer(told),
      versions(told),
      safety(told),
    ];
    const bad = items.filter((item) => !item.fine).length;
    set(verdict, "class", bad ? "verdict verdict--bad" : "verdict");
    set(verdict.querySelector("use"), "href", iconHref(bad ? "alert" : "check"));
    setText(verdictWords, bad ? t("health.trouble", { n: bad }) : t("health.ok"));
    list(vitals, items, (item) => item.key, vital);
    content.hidden = false;
  }

  root.tick = () => loader.load();
  return root;
}

/** @typedef {{key: string, title: string, lines: (string | null | false)[], fine: boolean,
 *   sign: string, camera?: import("./model.js").Camera}} Item */

/** One of them; update(item). Most of it changes each time, while a link in it may have focus. */
function vital() {
  const sign = icon("check");
  const title = h("span");
  const first = h("p");
  const rest = h("p", { class: "muted small" });
  const realign = realignLink();
  const fix = h("p", { class: "small" }, realign);
  const root = h("div", null, h("dt", null, sign, title), h("dd", null, first, rest, fix));
  root.update = (/** @type {Item} */ item) => {
    const [head, ...more] = item.lines.filter(Boolean);
    set(root, "class", item.fine ? "vital" : "vital vital--bad");
    set(sign.firstElementChild, "href", iconHref(item.fine ? item.sign : "alert"));
    setText(title, item.title);
    setText(first, head ?? "");
    setText(rest, more.join(" · "));
    rest.hidden = more.length === 0;
    if (item.camera) realign.update(item.camera);
    fix.hidden = realign.hidden;
  };
  return root;
}

/** @returns {Item} */
function camera(one) {
  const fine = one.status === "online";
  return {
    key: `camera ${one.id}`,
    title: one.id,
    fine,
    sign: "camera",
    lines: [
      cameraWords(one),
      !fine && t("camera.since", { time: clock(one.since) }),
      one.last_frame
        ? t("shelves.last_frame", { ago: ago(one.last_frame) })
        : t("shelves.no_frame"),
      t("health.frames", { n: one.frames ?? 0 }),
      t("health.slots", { n: one.slots }),
    ],
    camera: one,
  };
}

/** @returns {Item} */
function broker({ broker: one }) {
  const since = one.connected_since;
  return {
    key: "broker",
    title: t("health.broker"),
    fine: Boolean(since),
    sign: "check",
    lines: [
      since ? t("health.connected", { time: clock(since) }) : t("health.not_connected"),
      !since && one.last_error,
      one.address,
    ],
  };
}

/** @returns {Item} */
function outbox({ outbox: one }) {
  return {
    key: "outbox",
    title: t("health.outbox"),
    fine: (one.oldest_s ?? 0) < LONG_WAIT_S && !one.dropped,
    sign: "check",
    lines: [
      t("health.waiting", { n: one.waiting }),
      one.oldest_s !== null && t("health.oldest", { time: duration(one.oldest_s / 60) }),
      one.dropped > 0 && t("health.dropped", { n: one.dropped }),
    ],
  };
}

/** @returns {Item} */
function model({ model: one }) {
  const timed =
    one.p50_ms !== null &&
    t("health.speed", { p50: number(one.p50_ms, 1), p95: number(one.p95_ms, 1) });
  return {
    key: "model",
    title: t("health.model"),
    fine: true,
    sign: "check",
    lines: [one.name, t("health.looks", { n: one.looks }), timed],
  };
}

/** @returns {Item} */
function disk({ disk: one }) {
  return {
    key: "disk",
    title: t("health.disk"),
    fine: one.enough,
    sign: "check",
    lines: one.free_bytes === null ? [] : [t("health.free", { n: number(one.free_bytes / 1e9, 1) })],
  };
}

/** @returns {Item} */
function computer(told) {
  return {
    key: "computer",
    title: t("health.computer"),
    fine: true,
    sign: "check",
    lines: [
      t("health.cpu", { n: number(told.cpu_percent, 0) }),
      t("health.memory", { n: Math.round(told.memory_bytes / 1e6) }),
      t("health.uptime", { time: duration(told.uptime_s / 60) }),
    ],
  };
}

/** @returns {Item} */
function versions(told) {
  const [first, ...rest] = Object.entries(told.versions).map(
    ([name, version]) => `${name} ${version}`,
  );
  return {
    key: "versions",
    title: t("health.versions"),
    fine: true,
    sign: "info",
    lines: [first, ...rest],
  };
}

/** @returns {Item} */
function safety(told) {
  return {
    key: "safety",
    title: t("health.safety"),
    fine: true,
    sign: "lock",
    lines: [t("health.failures", { n: told.sign_in_failures })],
  };
}
