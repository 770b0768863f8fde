// The way back: Undo and Restore in the history of the photo that is shown.

import { send, show } from "./api.js";
import { replaceText } from "./box.js";

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-review] button[data-go-back]");
  if (button && !button.disabled) goBack(button);
});

async function goBack(button) {
  const article = button.closest("[data-review]");
  const box = article.querySelector(`form.caption[data-caption="${button.dataset.caption}"] textarea`);
  if (box && box.value !== box.dataset.original) {
    // What is typed is nowhere else yet: the field's own undo brings it back.
    replaceText(box, button.dataset.text);
    tell(article, "The text is in the box, for you had typed there. Save it, or undo to have yours again.");
    return;
  }
  const { goBack: url, version, entry } = button.dataset;
  const json = { version: Number(version), ...(entry && { entry_id: Number(entry) }) };
  button.disabled = true;
  try {
    await send("POST", url, { json });
    document.dispatchEvent(new CustomEvent("recaption:changed"));
  } catch (problem) {
    show(article.querySelector("[data-history-problem]"), problem);
  }
  button.disabled = false;
}

function tell(article, words) {
  const status = article.querySelector("[data-history-status]");
  status.classList.remove("visually-hidden");
  status.textContent = words;
}
