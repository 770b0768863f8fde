// Texts that nobody has decided on: kept in this browser at every keystroke, and by the server soon after.

import { send } from "./api.js";
import { boxOf } from "./box.js";
import { onShown } from "./shown.js";

const DRAFT_AFTER = 800; // milliseconds without a keystroke
const RETRY_AFTER = 3000; // milliseconds, while the server is away
const user = document.body.dataset.user;
const timers = new Map(); // by form
const sent = new WeakMap(); // the last draft on its way, by form

onShown((article) => article.querySelectorAll("form.caption").forEach(attend));

function attend(form) {
  const box = boxOf(form);
  restore(form, box);
  box.addEventListener("input", () => {
    keep(form);
    said(form, "");
    plan(form, DRAFT_AFTER);
  });
}

/** Save what was typed at once, as a draft. */
export function saveDraft(form) {
  timers.delete(form, clearTimeout(timers.get(form)));
  const text = boxOf(form).value;
  const change = text === boxOf(form).dataset.original ? "" : text;
  const saving = (sent.get(form) ?? Promise.resolve()).then(() => store(form, change, text));
  sent.set(form, saving);
  return saving;
}

/** Save at once what waits to be saved. Resolves when the server has it, or is away. */
export function saveDrafts() {
  return Promise.all([...timers.keys()].map(saveDraft));
}

/** Resolves when no draft of this form is on its way any more. */
export function onItsWay(form) {
  return sent.get(form) ?? Promise.resolve();
}

/** Stop saving drafts of this form, for its text is decided. */
export function settle(form) {
  clearTimeout(timers.get(form));
  timers.delete(form);
  localStorage.removeItem(keyOf(form));
}

/** What is typed from now on goes on from this version of the caption. */
export function goOnFrom(form, { version, text }) {
  form.dataset.version = version;
  boxOf(form).dataset.original = text;
  if (localStorage.getItem(keyOf(form))) keep(form);
}

/** Forget the draft here and at the server. */
export async function discard(form) {
  settle(form);
  await onItsWay(form);
  await put(form, "");
}

async function store(form, change, text) {
  // The server keeps one draft a photo: those of its other captions are this browser's.
  for (const other of form.closest("[data-review]")?.querySelectorAll("form.caption") ?? []) {
    if (other !== form && boxOf(other).value !== boxOf(other).dataset.original) keep(other);
  }
  try {
    await put(form, change);
    said(form, change ? "draft saved" : "");
    if (boxOf(form).value === text) localStorage.removeItem(keyOf(form));
  } catch (problem) {
    said(form, problem.status ? problem.message : "kept in this browser: the server does not answer");
    if (!problem.status && form.isConnected) plan(form, RETRY_AFTER);
  }
}

function put(form, text) {
  const id = form.dataset.caption ? Number(form.dataset.caption) : null;
  const version = form.dataset.version ? Number(form.dataset.version) : null;
  const { draftUrl } = form.dataset;
  return send("PUT", draftUrl, { json: { text, caption_id: id, version }, keepalive: true });
}

function keep(form) {
  const { value: text, dataset } = boxOf(form);
  try {
    localStorage.setItem(keyOf(form), JSON.stringify({ text, version: form.dataset.version, base: dataset.original }));
  } catch {
    // No room here: the server has it soon.
  }
}

function restore(form, box) {
  const kept = JSON.parse(localStorage.getItem(keyOf(form)) ?? "null");
  if (!kept || kept.text === box.value) return;
  box.value = kept.text;
  if (kept.version) form.dataset.version = kept.version; // an older one: saving it shows all texts
  box.dataset.original = kept.base;
  delete form.dataset.stale;
  said(form, "draft of this browser");
  plan(form, DRAFT_AFTER);
}

function plan(form, after) {
  clearTimeout(timers.get(form));
  timers.set(form, setTimeout(() => saveDraft(form), after));
}

function keyOf(form) {
  return `recaption.draft.${user}.${form.dataset.draftUrl}.${form.dataset.caption}`;
}

function said(form, text) {
  form.querySelector("[data-saved]").textContent = text;
}

window.addEventListener("pagehide", () => [...timers.keys()].forEach(saveDraft));
