// Holds the photo that is shown, so that the queue gives it to nobody else, and says who else is at it.

import { send } from "./api.js";
import { onShown } from "./shown.js";

const RENEW = 60_000; // milliseconds; a lease lasts three times as long
let held = null;

async function hold(note) {
  try {
    const { holder } = await (await send("PUT", note.dataset.lease)).json();
    const words = holder ? `${holder} is at this photo, too.` : "";
    // Said once, and not at every renewal.
    if (note.textContent !== words) note.textContent = words;
    note.hidden = !holder;
  } catch {
    // Nothing is lost: the queue may give the photo to somebody else, and versions guard its captions.
  }
}

function release(note) {
  send("DELETE", note.dataset.lease, { keepalive: true }).catch(() => {});
}

onShown((article) => {
  const note = article.querySelector("[data-lease]");
  if (held && held.dataset.lease !== note?.dataset.lease) release(held);
  held = note;
  if (note) hold(note);
});
setInterval(() => held && hold(held), RENEW);
addEventListener("pagehide", () => held && release(held));
addEventListener("pageshow", (event) => event.persisted && held && hold(held));
