// Captions a photo blind: what is typed stays in this browser until the server has it.

import { send, show } from "./api.js";
import { boxOf } from "./box.js";
import { onKey } from "./keys.js";

const article = document.querySelector("[data-review]");
const form = article.querySelector("form.caption");
const box = boxOf(form);
const problem = form.querySelector("[data-problem]");
const saved = form.querySelector("[data-saved]");
const photo = article.querySelector("[data-photo]");
const lost = article.querySelector("[data-photo-lost]");
const KEY = `recaption.blind.${document.body.dataset.user}.${new URL(form.action).pathname}.${form.elements.item.value}`;
let sending = false;

function restore() {
  const kept = localStorage.getItem(KEY);
  if (!kept || box.value) return;
  box.value = kept;
  saved.textContent = "draft of this browser";
}

function keep() {
  saved.textContent = "";
  try {
    if (box.value.trim()) localStorage.setItem(KEY, box.value);
    else localStorage.removeItem(KEY);
  } catch {
    // No room here: the text is still in the box.
  }
}

async function save() {
  if (sending) return;
  problem.hidden = true;
  if (!box.value.trim()) return show(problem, { message: "The caption is empty; write some words, or skip the photo." });
  sending = true;
  try {
    const response = await send("POST", form.action, { body: new FormData(form) });
    localStorage.removeItem(KEY);
    location.assign(response.url);
  } catch (refusal) {
    sending = false;
    show(problem, refusal);
  }
}

function write() {
  box.focus();
  box.setSelectionRange(box.value.length, box.value.length);
}

function tellLost() {
  lost.hidden = false;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  save();
});
box.addEventListener("input", keep);
photo.addEventListener("error", tellLost);
photo.addEventListener("load", () => { lost.hidden = true; });
if (photo.complete && !photo.naturalWidth) tellLost();
lost.querySelector("button").addEventListener("click", () => { photo.src = photo.src.split("?")[0] + `?again=${Date.now()}`; });
addEventListener("pageshow", () => { sending = false; });

const skip = () => { article.querySelector("[data-skip]").click(); };
onKey("accept", () => { save(); });
onKey("skip", skip);
onKey("onward", skip);
onKey("edit", write);
onKey("edit-too", write);
onKey("leave", () => {
  if (document.activeElement !== box) return false;
  article.focus({ preventScroll: true });
  return true;
});

restore();
if (!matchMedia("(hover: none)").matches) write();
