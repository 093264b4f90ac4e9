/** What people tell the daemon: one tap each, sent surely once, and each with a way back. */

import { newId, sendSurely, ApiError } from "../lib/net.js";
import { knows, t } from "../lib/i18n.js";
import { getPref } from "../lib/prefs.js";
import { clock, now } from "../lib/time.js";
import { toast } from "../lib/toast.js";

/**
 * @typedef {"ack" | "release" | "snooze" | "not_empty" | "undo_not_empty"} Verb
 * @typedef {{slot: string, name: string, incident_id: string}} About
 */

/** What takes a verb back. @type {Record<string, [Verb, {minutes?: number}]>} */
const BACK = {
  ack: ["release", {}],
  release: ["ack", {}],
  snooze: ["snooze", { minutes: 0 }],
  not_empty: ["undo_not_empty", {}],
};

/**
 * @param {(slot: string, verb: string | null) => void} pending told what is on its way, null when not
 * @param {(slot: string) => void} acted told before sending: the card may leave under the finger
 */
export function createActions(pending, acted) {
  /**
   * Sends a verb and says how it went; resolves to whether it was done.
   * @param {Verb} verb
   * @param {About} about
   * @param {{minutes?: number, words?: string, undoable?: boolean}} [options]
   *   words: the toast's text; undoable: false where this is itself a way back
   */
  async function act(verb, about, { minutes, words, undoable = true } = {}) {
    pending(about.slot, verb);
    acted(about.slot);
    const by = getPref("name");
    try {
      await sendSurely("/api/act", {
        action_id: newId(),
        verb,
        slot: about.slot,
        incident_id: about.incident_id,
        ...(by && { by }),
        ...(minutes !== undefined && { minutes }),
      });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.code !== "sign_in")
        toast(excuse(error, about.name), { error: error.code !== "already_closed" });
      return false;
    } finally {
      pending(about.slot, null);
    }
    const back = undoable && minutes !== 0 ? BACK[verb] : null;
    const undo =
      back &&
      (() =>
        act(back[0], about, {
          ...back[1],
          words: t("did.undone", { name: about.name }),
          undoable: false,
        }));
    toast(words ?? done(verb, about.name, minutes), undo ? { undo } : {});
    return true;
  }

  /**
   * Takes back what stands in the list of the last half hour.
   * @param {Verb} verb
   * @param {About} about
   */
  function takeBack(verb, about) {
    const minutes = verb === "snooze" ? 0 : undefined;
    return act(verb, about, {
      minutes,
      words: t("did.undone", { name: about.name }),
      undoable: false,
    });
  }

  return { act, takeBack };
}

function done(verb, name, minutes) {
  if (verb === "ack") return t("did.ack", { name });
  if (verb === "release") return t("did.release", { name });
  if (verb === "not_empty") return t("did.not_empty", { name });
  if (minutes === 0) return t("did.unsnooze", { name });
  return t("did.snooze", { name, time: clock(now() + 60000 * minutes) });
}

function excuse(error, name) {
  const key = `error.${error.code}`;
  return knows(key) ? t(key, { name }) : t("error.other", { name, why: error.message });
}
