// Fields that take the keys pressed in them, and a warning where two actions have the same.

import { chordOf, onMac, standing } from "./keys.js";

const fields = [...document.querySelectorAll("[data-key-field]")];
const warning = document.querySelector("[data-twice]");
const ALONE = ["Control", "Alt", "Shift", "Meta", "AltGraph", "Tab"];

for (const field of fields) {
  field.addEventListener("keydown", (event) => {
    if (ALONE.includes(event.key) || event.isComposing) return;
    event.preventDefault();
    field.value = event.key === "Backspace" && !event.ctrlKey && !event.altKey && field.value ? "" : written(event);
    warn();
  });
}

/** A chord as it is kept: with Mod for Ctrl, or for ⌘ on a Mac. */
function written(event) {
  const parts = chordOf(event).split("+").map((part) => (part === (onMac ? "Meta" : "Ctrl") ? "Mod" : part));
  const last = parts.pop();
  return [...parts, last.length === 1 ? last.toUpperCase() : last].join("+");
}

function warn() {
  const taken = new Map();
  const twice = fields.filter((field) => {
    const chord = field.value && standing(field.value);
    const other = chord && taken.get(chord);
    if (chord) taken.set(chord, field);
    return other;
  });
  warning.textContent = twice.map((field) => `${field.value} does two things.`).join(" ");
  warning.hidden = !twice.length;
}
