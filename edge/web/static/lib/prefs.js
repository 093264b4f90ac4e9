/** What a person chose on this device. Storage may be refused (private windows): then for this visit. */

/** @type {Map<string, string>} */
const memory = new Map();

/**
 * @param {string} key
 * @returns {string | null}
 */
export function getPref(key) {
  try {
    return localStorage.getItem(`stock.${key}`);
  } catch {
    return memory.get(key) ?? null;
  }
}

/**
 * @param {string} key
 * @param {string | null} value null forgets it
 */
export function setPref(key, value) {
  try {
    if (value === null) localStorage.removeItem(`stock.${key}`);
    else localStorage.setItem(`stock.${key}`, value);
  } catch {
    if (value === null) memory.delete(key);
    else memory.set(key, value);
  }
}

/** @returns {"light" | "dark" | "auto"} */
export function getTheme() {
  const theme = getPref("theme");
  return theme === "light" || theme === "dark" ? theme : "auto";
}

/** @param {"light" | "dark" | "auto"} theme */
export function setTheme(theme) {
  setPref("theme", theme === "auto" ? null : theme);
  dispatchEvent(new Event("stock-theme")); // lib/theme.js paints
}
