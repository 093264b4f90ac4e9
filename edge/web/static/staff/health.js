/** Is it well: cameras, broker, outbox, model, disk, computer, versions; trouble first. */

import { h, icon } from "../lib/dom.js";
import { number, t } from "../lib/i18n.js";
import { ago, clock, duration } from "../lib/time.js";
import { keepLoaded } from "./loader.js";
import { cameraWords, heading, realignLink } from "./parts.js";

const EVERY_MS = 15_000;
const LITTLE_DISK = 1e9;
const LONG_WAIT_S = 120;

/** @returns {any} a <section> with tick() */
export function healthView() {
  const content = h("div", { class: "health" });
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
    content.replaceChildren(
      h(
        "p",
        { class: bad ? "verdict verdict--bad" : "verdict" },
        icon(bad ? "alert" : "check"),
        bad ? t("health.trouble", { n: bad }) : t("health.ok"),
      ),
      h("dl", { class: "panel vitals" }, items.map(vital)),
    );
  }

  root.tick = () => loader.load();
  return root;
}

/** @typedef {{title: string, lines: (string | null | false)[], fine: boolean, sign: string,
 *   fix?: Element | false}} Item */

/** @param {Item} item */
function vital(item) {
  const [first, ...rest] = item.lines.filter(Boolean);
  return h(
    "div",
    { class: item.fine ? "vital" : "vital vital--bad" },
    h("dt", null, icon(item.fine ? item.sign : "alert"), item.title),
    h(
      "dd",
      null,
      h("p", null, first),
      rest.length > 0 && h("p", { class: "muted small" }, rest.join(" · ")),
      item.fix && h("p", { class: "small" }, item.fix),
    ),
  );
}

/** @returns {Item} */
function camera(one) {
  const fine = one.status === "online";
  return {
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
    fix: realignLink(one),
  };
}

/** @returns {Item} */
function broker({ broker: one }) {
  const since = one.connected_since;
  return {
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
    title: t("health.model"),
    fine: true,
    sign: "check",
    lines: [one.name, t("health.looks", { n: one.looks }), timed],
  };
}

/** @returns {Item} */
function disk({ disk: one }) {
  return {
    title: t("health.disk"),
    fine: one.free_bytes !== null && one.free_bytes > LITTLE_DISK, // null: nobody can tell
    sign: "check",
    lines: one.free_bytes === null ? [] : [t("health.free", { n: number(one.free_bytes / 1e9, 1) })],
  };
}

/** @returns {Item} */
function computer(told) {
  return {
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
  return { title: t("health.versions"), fine: true, sign: "info", lines: [first, ...rest] };
}

/** @returns {Item} */
function safety(told) {
  return {
    title: t("health.safety"),
    fine: true,
    sign: "lock",
    lines: [t("health.failures", { n: told.sign_in_failures })],
  };
}
