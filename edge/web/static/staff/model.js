/** What the daemon tells, and what follows from it. Pure: no page, no requests. */

import { ago, minutesSince, now } from "../lib/time.js";
import { percent, t } from "../lib/i18n.js";

/**
 * @typedef {{id: string, opened_at: string, ack: {by: string, at: string} | null, snooze_until: string | null}} Incident
 * @typedef {{id: string, name: string, sku: string | null, priority: number | null, camera: string,
 *   place: {row: number, column: number} | null, quad: [number, number][], state: string,
 *   visibility: string, since: string | null, last_seen: string | null, score: number | null,
 *   p_present: number | null, votes: {looks: number, of: number} | null, incident: Incident | null,
 *   now: number | null, full: number | null}} Slot
 * @typedef {{id: string, status: string, reason: string | null, moved_by: number | null,
 *   since: string, last_frame: string | null,
 *   slots: number, picture: number | null, aspect: number | null}} Camera
 *   moved_by: how far its slots are off, in widths of a slot
 *   picture: when the newest one without people was taken, in ms since 1970; also its version
 * @typedef {{at: string, slot: string, name: string, kind: string, by: string | null,
 *   incident_id: string, minutes_open: number | null, undo: string | null}} Recent
 * @typedef {{age_steps_min: number[], pictures: boolean}} Settings
 * @typedef {{node: string, slots: Slot[], cameras: Camera[], recent: Recent[], settings: Settings}} Snapshot
 */

/** What a page knows before the first news. @type {Snapshot} */
export const NOTHING = {
  node: "",
  slots: [],
  cameras: [],
  recent: [],
  settings: { age_steps_min: [15, 60], pictures: true },
};

const LAST = Number.MAX_SAFE_INTEGER;

/**
 * Sorts the slots with an incident: what is open, what somebody has taken, what is put off.
 * @param {Slot[]} slots
 * @returns {{open: Slot[], taken: Slot[], later: Slot[]}}
 */
export function sections(slots) {
  const open = [];
  const taken = [];
  const later = [];
  for (const slot of slots.filter((one) => one.incident)) {
    if (isSnoozed(slot)) later.push(slot);
    else if (slot.incident.ack) taken.push(slot);
    else open.push(slot);
  }
  later.sort((a, b) => Date.parse(a.incident.snooze_until) - Date.parse(b.incident.snooze_until));
  return { open: open.sort(byUrgency), taken: taken.sort(byUrgency), later };
}

/** @param {Slot} slot */
export function isSnoozed(slot) {
  const until = slot.incident?.snooze_until;
  return Boolean(until) && Date.parse(until) > now();
}

/**
 * Priority 1 first, empty before misplaced, then the longest open.
 * @param {Slot} a
 * @param {Slot} b
 */
function byUrgency(a, b) {
  return (
    (a.priority ?? LAST) - (b.priority ?? LAST) ||
    Number(a.state === "misplaced") - Number(b.state === "misplaced") ||
    Date.parse(a.incident.opened_at) - Date.parse(b.incident.opened_at)
  );
}

/**
 * How many of the age steps an incident has passed: 0 new, 1 waiting, 2 urgent.
 * @param {Slot} slot
 * @param {Settings} settings
 */
export function ageStep(slot, settings) {
  const minutes = minutesSince(slot.incident?.opened_at ?? null);
  return settings.age_steps_min.filter((step) => minutes >= step).length;
}

/**
 * The state of a slot in one word, visibility first: an old state is no news.
 * @param {Slot} slot
 */
export function stateWords(slot) {
  const state = t(`state.${slot.state}`);
  return slot.visibility === "clear" ? state : `${state} · ${t(`visibility.${slot.visibility}`)}`;
}

/**
 * Why a slot can't be seen now; null where it can.
 * @param {Slot} slot
 */
export function whyUnseen(slot) {
  if (slot.visibility === "blocked") return t("visibility.blocked_why");
  if (slot.visibility !== "stale") return null;
  return slot.last_seen
    ? t("visibility.stale_why", { ago: ago(slot.last_seen) })
    : t("visibility.never_why");
}

/** @param {Slot} slot */
export function placeWords(slot) {
  return slot.place
    ? t("card.place", { camera: slot.camera, row: slot.place.row, column: slot.place.column })
    : slot.camera;
}

/** Minutes from now until midnight, at least an hour. */
export function minutesToday() {
  const end = new Date(now());
  end.setHours(24, 0, 0, 0);
  return Math.max(60, Math.ceil((end.getTime() - now()) / 60000));
}

/**
 * When a slot was last seen. One in sight is looked at with each picture of its camera: its own
 * time is told only together with news of it.
 * @param {Slot} slot
 * @param {Camera[]} cameras
 * @returns {string | null}
 */
export function seenAt(slot, cameras) {
  const camera = cameras.find((one) => one.id === slot.camera);
  const looking = slot.visibility === "clear" && camera?.status === "online";
  return looking && camera.last_frame > (slot.last_seen ?? "") ? camera.last_frame : slot.last_seen;
}

/**
 * What the empty list may honestly say of the slots.
 * @param {Slot[]} slots
 * @param {Camera[]} cameras
 * @returns {{all: number, unseen: number, checking: number, oldest: string | null}}
 *   oldest: when the least recently seen of those in sight was seen
 */
export function proof(slots, cameras) {
  const unseen = slots.filter((slot) => slot.visibility !== "clear");
  const clear = slots.filter((slot) => slot.visibility === "clear");
  const seen = clear
    .map((slot) => seenAt(slot, cameras))
    .filter(Boolean)
    .sort();
  return {
    all: slots.length,
    unseen: unseen.length,
    checking: clear.filter((slot) => slot.state === "unknown").length,
    oldest: seen[0] ?? null,
  };
}

/**
 * @param {Snapshot} snapshot
 * @param {{slots?: Slot[], cameras?: Camera[], recent?: Recent[], gone?: string[],
 *   gone_cameras?: string[]}} patch
 * @returns {Snapshot}
 */
export function patched(snapshot, patch) {
  return {
    ...snapshot,
    slots: merged(snapshot.slots, patch.slots, patch.gone),
    cameras: merged(snapshot.cameras, patch.cameras, patch.gone_cameras),
    recent: patch.recent ?? snapshot.recent,
  };
}

/**
 * @template {{id: string}} T
 * @param {T[]} old
 * @param {T[]} [changed]
 * @param {string[]} [gone]
 */
function merged(old, changed = [], gone = []) {
  if (!changed.length && !gone.length) return old;
  const news = new Map(changed.map((one) => [one.id, one]));
  const kept = old.filter((one) => !gone.includes(one.id)).map((one) => news.get(one.id) ?? one);
  const known = new Set(old.map((one) => one.id));
  return [...kept, ...changed.filter((one) => !known.has(one.id))];
}

/**
 * Why the daemon says so, in plain words.
 * @param {Slot} slot
 * @returns {string[]}
 */
export function evidenceWords(slot) {
  const words = [];
  if (slot.votes) words.push(t("card.votes", slot.votes));
  if (slot.state === "misplaced" && slot.p_present !== null)
    words.push(t("card.present", { score: percent(slot.p_present, 0) }));
  else if (slot.state === "empty" && slot.score !== null && slot.score < 0.5)
    words.push(t("card.turning"));
  else if (slot.score !== null) words.push(t("card.score", { score: percent(slot.score, 0) }));
  return words;
}
