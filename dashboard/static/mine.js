// Fetches what the panel “My progress” shows once somebody opens it: no photo waits for it.

import { send, show } from "./api.js";

// The event does not bubble. It also comes for a panel that stays open from one photo to the next.
document.addEventListener("toggle", async ({ target }) => {
  if (!target.open || !target.dataset?.mine || target.dataset.fetched) return;
  target.dataset.fetched = "yes";
  const panel = target.querySelector("[data-mine-panel]");
  try {
    const drawn = await (await send("GET", target.dataset.mine)).text();
    panel.replaceChildren(...new DOMParser().parseFromString(drawn, "text/html").body.childNodes);
  } catch (problem) {
    delete target.dataset.fetched;
    show(panel, problem);
  }
}, true);
