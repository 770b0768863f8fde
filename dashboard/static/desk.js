// What people do with the captions of a photo: accept, edit, reject, flag, undo. Each decision goes into the
// outbox, and the next photo is shown at once.

import { send, show } from "./api.js";
import { boxOf, replaceText } from "./box.js";
import { compare, isOpen } from "./conflict.js";
import { discard, goOnFrom, onItsWay, saveDraft, settle } from "./drafts.js";
import { onKey } from "./keys.js";
import { drop, empty, onOutbox, put } from "./outbox.js";
import { advance, attempt, edit, goTo, refresh, say, shown, stay, trail, waitingForm } from "./room.js";
import { onShown } from "./shown.js";

const STATES = { accept: "accepted", reject: "rejected" };
const CAPTIONS = "/api/v1/captions";
const PATIENCE = 3000; // milliseconds for decisions on their way
const UNREAD = 200; // milliseconds: nobody has read what was shown for less
const MOST_SHOWN = 20; // refused decisions
const REASONS = ["subject", "attribute", "number", "place", "wording"];
let refused = [];
let shownAt = 0;
let lastShown;

onShown((article) => {
  if (article.dataset.item !== lastShown) shownAt = performance.now();
  lastShown = article.dataset.item;
  article.querySelectorAll("form.caption").forEach(attend);
  attendArticle(article);
  showRefused();
});

function attend(form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    decide(form, "accept");
  });
  form.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.alternative) replaceText(boxOf(form), button.dataset.alternative);
    else if (button?.dataset.move) attempt(() => move(form, Number(button.dataset.move)));
    else if (button?.dataset.act && button.type === "button") decide(form, button.dataset.act);
  });
}

/** The caption that keys are for: the one with the caret, the one that waits, or the first. */
function currentForm() {
  return document.activeElement?.closest("form.caption") ?? waitingForm() ?? shown().querySelector("form.caption");
}

/** Accept, reject or save a caption. */
function decide(form, what) {
  if (isOpen(form)) return; // first the person chooses between the texts
  if (form.dataset.decided) return waitingForm() ? undefined : attempt(advance);
  const text = boxOf(form).value;
  // A key that came late was meant for the photo before.
  if (STATES[what] && text === boxOf(form).defaultValue && performance.now() - shownAt < UNREAD) return;
  const note = form.querySelector("[data-problem]");
  note.hidden = true;
  dropRefused(form);
  if (what === "discard") return attempt(() => discard(form).then(refresh));
  if (!text.trim() && what !== "reject") return show(note, { message: "The caption is empty; write some words, or reject it instead." });
  if (what === "reject" && !form.dataset.caption) return say("There is no caption to reject.");
  const answer = put(decisionOn(form, what, text), onItsWay(form));
  settle(form);
  const { item } = shown().dataset;
  const again = () => { if (shown().dataset.item === item) attempt(refresh); };
  if (what === "save") {
    answer.then((caption) => { if (caption) goOnFrom(formOf(caption.id) ?? form, caption); }).then(again, () => {});
    return;
  }
  form.dataset.decided = what;
  boxOf(form).readOnly = true; // what is typed until the next photo is there is not for this one
  remember(form, text, answer, what);
  const next = waitingForm();
  if (!next) return attempt(advance);
  edit(next);
  answer.then(again, () => {});
}

function decisionOn(form, what, text) {
  const { caption, captionsUrl, url, version, state } = form.dataset;
  const original = boxOf(form).dataset.original;
  const json = { state: STATES[what] ?? (state || "candidate") };
  if (caption) json.version = Number(version);
  else Object.assign(json, { kind: form.elements.kind.value, language: form.elements.language.value });
  if (text !== original && text.trim()) json.text = text;
  const { path, collection } = shown().dataset;
  return { method: caption ? "PATCH" : "POST", url: url ?? captionsUrl, json, base: form.dataset.stale ? null : original, photo: location.href, path, text, what, collection };
}

/** Keep what `r`, the reasons and Backspace need to know of a decision. */
function remember(form, text, answer, what) {
  const key = `${Date.now()} ${form.dataset.url ?? form.dataset.captionsUrl}`;
  trail.decide({ key, photo: location.href, text: what === "accept" ? text : null });
  const before = Number(form.dataset.version);
  const made = ({ id, version }) => ({ id, undo: version > before ? { url: `${CAPTIONS}/${id}/undo`, json: { version } } : null });
  answer.then((caption) => caption && trail.settle(key, made(caption)), () => trail.forget(key));
}

async function undo() {
  await empty(PATIENCE);
  if (!trail.lastDecision()?.undo) return say("There is nothing to undo.");
  const last = trail.takeBack();
  await send("POST", last.undo.url, { json: last.undo.json });
  await goTo(last.photo, { push: last.photo !== location.href });
  say("Undone.");
}

async function rejectPicture() {
  const article = shown();
  const { rejectUrl, reopenUrl, rejected } = article.dataset;
  if (rejected) return;
  article.dataset.rejected = "once";
  await send("POST", rejectUrl);
  trail.decide({ key: rejectUrl, photo: location.href, undo: { url: reopenUrl } });
  say("The picture is rejected.");
  if (article.isConnected) await advance();
}

async function toggleFlag() {
  const button = shown().querySelector("[data-flag]");
  const flagged = button.getAttribute("aria-pressed") !== "true";
  await send("PUT", button.dataset.flag, { json: { flagged } });
  button.setAttribute("aria-pressed", flagged);
  say(flagged ? "Flagged" : "Flag removed");
}

function attendArticle(article) {
  const on = (selector, action) => article.querySelector(selector)?.addEventListener("click", () => attempt(action));
  on("[data-flag]", toggleFlag);
  on("[data-reject-picture]", rejectPicture);
  article.querySelector("[data-delete]").addEventListener("click", confirmDeleting);
}

function confirmDeleting(event) {
  const dialog = shown().querySelector("dialog.confirm");
  const { delete: url } = event.currentTarget.dataset;
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "delete") attempt(() => send("DELETE", url).then(advance));
  }, { once: true });
  dialog.showModal();
}

// What the server refused stays until the person has looked at it.

onOutbox((told) => {
  refused = told.refused;
  const sending = document.querySelector("[data-sending]");
  const waits = told.sending > 1 ? `${told.sending} decisions wait for the server` : "";
  sending.textContent = told.unkept ? "This browser has no room to keep decisions: leave the page open until they are sent" : waits;
  showRefused();
});

function showRefused() {
  const here = refused.filter((entry) => entry.photo === location.href && open(entry));
  const list = document.querySelector("[data-refused]");
  const elsewhere = refused.filter((entry) => !here.includes(entry)).slice(0, MOST_SHOWN);
  list.replaceChildren(...elsewhere.map(rowOf));
  list.hidden = !elsewhere.length;
}

/** Show a refused decision in its own form, until the person decides anew; false where it has no form here. */
function open(entry) {
  const form = [...shown().querySelectorAll("form.caption")].find((one) => (one.dataset.url ?? one.dataset.captionsUrl) === entry.url);
  if (!form) return false;
  if (form.dataset.refused === entry.id) return true;
  stay();
  form.dataset.refused = entry.id;
  delete form.dataset.decided;
  const box = boxOf(form);
  box.readOnly = false;
  if (entry.status === 409 && "current" in entry.body) {
    compare(form, entry.body, entry, {
      mine: () => decide(form, entry.what),
      theirs: () => dropRefused(form),
    });
  } else {
    show(form.querySelector("[data-problem]"), { message: entry.body.detail ?? entry.body.title });
    if (box.value !== entry.text) replaceText(box, entry.text);
  }
  return true;
}

function dropRefused(form) {
  if (form.dataset.refused) drop(form.dataset.refused);
  delete form.dataset.refused;
}

function rowOf(entry) {
  const row = document.createElement("li");
  const words = entry.status === 409 ? "Somebody else changed this caption first." : (entry.body.detail ?? entry.body.title);
  const path = Object.assign(document.createElement("strong"), { textContent: entry.path });
  const text = Object.assign(document.createElement("q"), { textContent: entry.text });
  const look = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-sm btn-outline-primary", textContent: "Look at it" });
  look.addEventListener("click", () => attempt(() => goTo(entry.photo)));
  const forget = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-sm btn-link", textContent: "Drop my text" });
  forget.addEventListener("click", () => drop(entry.id));
  row.append(path, `: ${words} `, text, " ", look, " ", forget);
  return row;
}

function formOf(caption) {
  return shown().querySelector(`form.caption[data-caption="${caption}"]`);
}

const onCurrent = (what) => () => {
  const form = currentForm();
  if (!form) return false;
  decide(form, what);
  return true;
};
onKey("accept", onCurrent("accept"));
onKey("accept-outside", onCurrent("accept"));
onKey("reject", onCurrent("reject"));
onKey("save", () => { saveDraft(currentForm()); });
onKey("edit", () => edit(currentForm()));
onKey("edit-too", () => edit(currentForm()));
onKey("leave", () => {
  const box = document.activeElement?.closest("form.caption textarea, [data-search]");
  if (!box) return false;
  shown().focus({ preventScroll: true });
  return true;
});
onKey("reject-picture", () => { attempt(rejectPicture); });
onKey("flag", () => { attempt(toggleFlag); });
onKey("undo", () => { attempt(undo); });
onKey("repeat", () => {
  const text = trail.lastText();
  if (text) replaceText(boxOf(currentForm()), text);
  else say("There is no caption to repeat yet.");
});

REASONS.forEach((reason) => onKey(`reason-${reason}`, () => { attempt(() => giveReason(reason)); }));

/** Say what was wrong with the caption that was decided last. */
async function giveReason(reason) {
  await empty(PATIENCE);
  const last = trail.lastDecision();
  if (!last?.id) return say("Decide on a caption first.");
  await send("POST", `${CAPTIONS}/${last.id}/reason`, { json: { reason } });
  say(`Noted: it was the ${reason}.`);
}

/** Move a caption among those of its photo. */
async function move(form, by) {
  const ids = [...shown().querySelectorAll("form.caption[data-url]")].map((one) => Number(one.dataset.caption));
  const from = ids.indexOf(Number(form.dataset.caption));
  if (!(from + by in ids)) return;
  [ids[from], ids[from + by]] = [ids[from + by], ids[from]];
  await send("PUT", shown().dataset.orderUrl, { json: { caption_ids: ids } });
  await refresh();
  formOf(form.dataset.caption)?.querySelector(`[data-move="${by}"]`)?.focus();
}

const first = waitingForm();
if (first && !matchMedia("(hover: none)").matches) edit(first);
