// Keys of the review page. The server says which key does what; other modules say how.

export const onMac = /Mac|iPhone|iPad/.test(navigator.platform);
const STAND_FOR = onMac ? { Mod: "Meta", Side: "Ctrl" } : { Mod: "Ctrl", Side: "Alt" };
const SIGNS = onMac
  ? { Meta: "⌘", Ctrl: "⌃", Alt: "⌥", Shift: "⇧", Enter: "↵", Backspace: "⌫", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" }
  : { Enter: "↵", Backspace: "⌫", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };
const SIGNS_AT = { Comma: ",", Period: ".", Slash: "/", BracketLeft: "[", BracketRight: "]" };
const MAY_REPEAT = ["previous", "next", "doubt-before", "doubt-behind"]; // while a key is held down

/** What keys do: a list of { name, words, key, in_box }. */
export const actions = JSON.parse(document.querySelector("[data-keys]")?.dataset.keys ?? "[]");
const handlers = new Map();

/** Let `handler` do what the action's name says. One that returns false leaves it to those that came later. */
export function onKey(name, handler) {
  handlers.set(name, [...(handlers.get(name) ?? []), handler]);
}

/** Do an action as if its key were pressed; tells whether anybody did it. */
export function act(name, event) {
  return (handlers.get(name) ?? []).some((handler) => handler(event) !== false);
}

/** A key as it is written on this machine's keyboard. */
export function signs(key) {
  return parts(key).map((part) => STAND_FOR[part] ?? part).map((part) => SIGNS[part] ?? part).join(onMac ? "" : " ");
}

/** The chord of a keyboard event, written as `standing` writes the keys of actions. */
export function chordOf(event) {
  const writes = event.getModifierState("AltGraph"); // on many keyboards the only way to a bracket
  const key = latin(event);
  const letter = key.length === 1 && key.toLowerCase() !== key.toUpperCase();
  const named = key === " " ? "Space" : letter ? key.toLowerCase() : key;
  const shifted = event.shiftKey && (letter || key.length > 1 || key === " ");
  const held = [[event.ctrlKey && !writes, "Ctrl"], [event.altKey && !writes, "Alt"], [shifted, "Shift"], [event.metaKey, "Meta"]];
  return [...held.filter(([is]) => is).map(([, name]) => name), named].join("+");
}

/** The key as a Latin keyboard has it at that place, where it writes a letter of another alphabet. */
function latin({ key, code }) {
  const foreign = key.length === 1 && /[^\p{Script=Latin}\P{L}]/u.test(key);
  return foreign ? (/^Key([A-Z])$/.exec(code)?.[1].toLowerCase() ?? SIGNS_AT[code] ?? key) : key;
}

/** The chord that a key of an action stands for on this machine. */
export function standing(key) {
  const all = parts(key).map((part) => STAND_FOR[part] ?? part);
  const last = all.pop();
  const held = ["Ctrl", "Alt", "Shift", "Meta"].filter((name) => all.includes(name));
  return [...held, last.length === 1 ? last.toLowerCase() : last].join("+");
}

function parts(key) {
  return key === "+" ? ["+"] : key.split(/\+(?=.)/);
}

function belongsToTarget(event, action) {
  const target = event.target;
  if (target.closest("[data-own-keys]")) return !action.in_box;
  if (target.closest("form.caption textarea")) return !action.in_box;
  if (target.closest("input, textarea, select, [contenteditable]")) return event.key !== "Escape";
  return ["Enter", " "].includes(event.key) && !action.in_box && Boolean(target.closest("button, a[href], summary"));
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || event.keyCode === 229) return;
  if (document.querySelector("dialog[open]")) return;
  const chord = chordOf(event);
  for (const action of actions) {
    if (standing(action.key) !== chord || belongsToTarget(event, action)) continue;
    if (event.repeat && !MAY_REPEAT.includes(action.name)) event.preventDefault();
    else if (act(action.name, event)) event.preventDefault();
    else continue;
    return;
  }
});
