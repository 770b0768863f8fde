// The text box of a caption.

/** The box of a caption's form. */
export function boxOf(form) {
  return form.querySelector("textarea");
}

/** Put a text into the box as if it were typed, so that the field's own undo takes it back. */
export function replaceText(box, text) {
  box.focus();
  box.select();
  insertText(box, text);
}

/** Put a text where the caret or the selection is, as if it were typed. */
export function insertText(box, text) {
  box.focus();
  const done = text ? document.execCommand("insertText", false, text) : document.execCommand("delete");
  if (done) return;
  box.setRangeText(text, box.selectionStart, box.selectionEnd, "end");
  box.dispatchEvent(new Event("input", { bubbles: true }));
}
