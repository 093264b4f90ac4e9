/**
 * One value that views watch. Listeners are called once per turn, however often it changed.
 *
 * @template T
 * @param {T} initial
 */
export function createStore(initial) {
  let value = initial;
  let told = true;
  /** @type {Set<(value: T) => void>} */
  const listeners = new Set();

  function tell() {
    told = true;
    for (const listener of listeners) listener(value);
  }

  return {
    /** @returns {T} */
    get: () => value,

    /** @param {Partial<T> | ((value: T) => Partial<T>)} change merged into the value */
    set(change) {
      value = { ...value, ...(typeof change === "function" ? change(value) : change) };
      if (told) {
        told = false;
        queueMicrotask(tell);
      }
    },

    /**
     * Calls listener now and after each change.
     * @param {(value: T) => void} listener
     */
    watch(listener) {
      listeners.add(listener);
      listener(value);
    },
  };
}
