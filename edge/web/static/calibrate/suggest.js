// Boundaries and rails from the picture itself. What is found is solid, what is guessed dashed.

import { t } from "../lib/i18n.js";
import { send } from "../lib/net.js";
import { applySuggestion } from "./edits.js";
import { reasonOf } from "./judged.js";
import { fractions } from "./state.js";

const WAIT_MS = 20000; // a busy mini PC may take its time

/**
 * Ask for the boundaries of the bay in hand and use them, unless it was changed meanwhile.
 * @param {import("./actions.js").Actions} actions
 */
export async function suggest(actions) {
  const { model, bench, page } = actions;
  const bay = actions.bayInHand();
  const token = bench.picture?.token;
  if (!bay || !token || actions.suggesting) return;
  actions.suggesting = true;
  model.changed();
  try {
    const { rows } = await send("POST", bench.url("/suggest"), {
      token, quad: fractions(bay.quad, model.frame),
      rows: bay.rows.length, columns: bay.rows.map((row) => row.cells.length),
    }, { timeoutMs: WAIT_MS });
    const now = model.state.bays.find(({ key }) => key === bay.key);
    if (now !== bay || bench.picture?.token !== token) { page.say(t("calibrate.suggest_late")); return; }
    model.commit("calibrate.did.suggest", applySuggestion(model.state, bay.key, rows));
    model.select({ bay: bay.key });
    const found = rows.flatMap((/** @type {{found: boolean[]}} */ row) => row.found);
    const sure = found.filter(Boolean).length;
    page.say(t("calibrate.suggested", { found: sure, guessed: found.length - sure }));
  } catch (error) {
    page.say(t("calibrate.suggest_failed", { why: reasonOf(/** @type {Error} */ (error)) }), true);
  } finally {
    actions.suggesting = false;
    model.changed();
  }
}
