// The list of keys, and each key on the button that does the same.

import { actions, onKey, signs } from "./keys.js";
import { onShown } from "./shown.js";

const dialog = document.querySelector("dialog.keys");
const byName = new Map(actions.map((action) => [action.name, action]));

onShown(label);
label(document);
onKey("help", () => dialog.showModal());
document.addEventListener("click", (event) => { if (event.target.closest("[data-help]")) dialog.showModal(); });

function label(root) {
  for (const key of root.querySelectorAll("kbd[data-key]")) {
    const action = byName.get(key.dataset.key);
    key.textContent = action?.key ? signs(action.key) : "";
    key.hidden = !action?.key;
  }
}
