// A stale save: the text it began with, the one that somebody else saved, and one's own, side by side.

import { replaceText } from "./box.js";

/** Show the three texts in the form. Nothing is saved until the person has chosen between `mine` and `theirs`. */
export function compare(form, { current, version }, { text, base }, { mine, theirs }) {
  const view = form.querySelector("[data-conflict]");
  const box = form.querySelector("textarea");
  view.querySelector("[data-base]").textContent = base ?? "";
  view.querySelector("[data-base]").parentElement.hidden = base === null;
  view.querySelector("[data-theirs]").textContent = current;
  view.querySelector("[data-mine]").textContent = text;
  view.hidden = false;
  box.readOnly = true;
  const choose = (act) => () => {
    view.hidden = true;
    box.readOnly = false;
    form.dataset.version = version;
    box.dataset.original = current;
    act();
  };
  view.querySelector("[data-take-theirs]").onclick = choose(() => {
    replaceText(box, current);
    theirs();
  });
  view.querySelector("[data-keep-mine]").onclick = choose(() => {
    if (box.value !== text) replaceText(box, text);
    mine();
  });
  focusOnChoice(form);
}

/** Lead the person to the choice that is to be made. */
export function focusOnChoice(form) {
  form.querySelector("[data-take-theirs]").focus();
}

/** Whether the person has to choose between texts first. */
export function isOpen(form) {
  return !form.querySelector("[data-conflict]").hidden;
}
