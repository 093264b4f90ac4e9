/** A soft ring for a new alert. Browsers allow sound only after a tap: that of the button. */

import { getPref, setPref } from "../lib/prefs.js";

const NOTES_HZ = [659.3, 880];
const NOTE_S = 0.16;

/** @type {AudioContext | null} */
let audio = null;

/** @returns {boolean} whether the person wants it */
export function soundWanted() {
  return getPref("sound") === "on";
}

/** To be called in a tap: turns the sound on and lets it be heard, or turns it off. @param {boolean} on */
export function setSound(on) {
  setPref("sound", on ? "on" : null);
  if (on) ring();
}

/** Rings, where it is wanted and the browser lets us. */
export function ring() {
  if (!soundWanted()) return;
  audio ??= new AudioContext();
  if (audio.state === "suspended") audio.resume();
  NOTES_HZ.forEach((hertz, at) => note(audio.currentTime + at * NOTE_S, hertz));
}

/** After a reload the first tap anywhere lets the sound be heard again. */
addEventListener("pointerdown", () => soundWanted() && (audio ??= new AudioContext()).resume(), {
  once: true,
});

function note(start, hertz) {
  const tone = new OscillatorNode(audio, { type: "sine", frequency: hertz });
  const volume = new GainNode(audio, { gain: 0 });
  volume.gain.setValueAtTime(0, start);
  volume.gain.linearRampToValueAtTime(0.25, start + 0.02);
  volume.gain.exponentialRampToValueAtTime(0.001, start + 2 * NOTE_S);
  tone.connect(volume).connect(audio.destination);
  tone.start(start);
  tone.stop(start + 2 * NOTE_S);
}
