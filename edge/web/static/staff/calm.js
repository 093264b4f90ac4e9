/** Whether somebody is busy in a list right now: then nothing may move under their finger. */

const TOUCH_MS = 1500;
const KEYS_MS = 30_000; // whoever works by keyboard reads before the next key

/**
 * @param {HTMLElement} element
 * @param {() => void} quiet called when nobody is busy any more
 * @returns {() => boolean} whether somebody is
 */
export function watchHands(element, quiet) {
  let down = false;
  let touchedUntil = 0;
  let typedUntil = 0;
  let timer = 0;

  const typing = () => Date.now() < typedUntil && element.querySelector(":focus-visible") !== null;
  const choosing = () => element.querySelector("[aria-expanded='true']") !== null;
  const busy = () => down || Date.now() < touchedUntil || typing() || choosing();

  function look() {
    clearTimeout(timer);
    timer = setTimeout(() => (busy() ? look() : quiet()), 300);
  }

  function touch() {
    touchedUntil = Date.now() + TOUCH_MS;
    look();
  }

  element.addEventListener("pointerdown", () => {
    down = true;
    touch();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    addEventListener(name, () => {
      if (!down) return;
      down = false;
      touch();
    });
  }
  element.addEventListener("touchmove", touch, { passive: true });
  element.addEventListener("keydown", () => {
    typedUntil = Date.now() + KEYS_MS;
    look();
  });
  return busy;
}
