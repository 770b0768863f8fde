// The review page: every change goes through the API under the version that the page was drawn with.

import { send, show } from "./api.js";

const DRAFT_AFTER = 800; // milliseconds without a keystroke
const page = document.querySelector("[data-review]");
const status = page.querySelector("[data-status]");
let lastDraft = Promise.resolve();

document.addEventListener("recaption:changed", () => location.reload());
for (const form of page.querySelectorAll("form.caption")) attend(form);
document.querySelector(".caption textarea")?.focus({ preventScroll: true });
if (/Mac|iPhone|iPad/.test(navigator.platform)) page.querySelectorAll("kbd").forEach((key) => { key.textContent = "⌘ ↵"; });
if (page.dataset.nextPicture) new Image().src = page.dataset.nextPicture;

function attend(form) {
  const box = form.querySelector("textarea");
  let timer;
  const conflict = form.querySelector("[data-conflict]");
  const act = (name) => {
    if (!conflict.hidden) return; // first the person chooses between the two texts
    timer = clearTimeout(timer);
    perform(form, name);
  };
  const keepDraft = () => {
    timer = clearTimeout(timer);
    lastDraft = saveDraft(form);
  };
  const choose = () => {
    conflict.hidden = true;
    form.dataset.version = conflict.dataset.version;
    box.dataset.original = form.querySelector("[data-theirs]").textContent;
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); act("accept-next"); });
  form.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.alternative) replace(box, button.dataset.alternative);
    else if (button?.dataset.act && button.type === "button") act(button.dataset.act);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
      event.preventDefault();
      act("accept-next");
    }
  });
  box.addEventListener("input", () => {
    clearTimeout(timer);
    form.querySelector("[data-saved]").textContent = "";
    timer = setTimeout(keepDraft, DRAFT_AFTER);
  });
  window.addEventListener("pagehide", () => { if (timer) keepDraft(); });
  form.querySelector("[data-take-theirs]").addEventListener("click", () => {
    choose();
    replace(box, box.dataset.original);
  });
  form.querySelector("[data-keep-mine]").addEventListener("click", () => {
    choose();
    act(form.dataset.attempted);
  });
}

/** Put a text into the box as if it were typed, so that the field's own undo takes it back. */
function replace(box, text) {
  box.focus();
  box.select();
  if (!document.execCommand("insertText", false, text)) box.setRangeText(text, 0, box.value.length, "end");
}

async function perform(form, name) {
  form.dataset.attempted = name;
  form.querySelector("[data-problem]").hidden = true;
  const buttons = form.querySelectorAll(".actions button");
  buttons.forEach((button) => { button.disabled = true; });
  try {
    await lastDraft; // a draft still on its way must not arrive after the decision
    if (name === "discard") await putDraft(form, "");
    else await save(form, name);
    if (name === "accept-next") location.assign(page.dataset.nextUrl);
    else location.reload();
  } catch (problem) {
    if (problem.status === 409 && "current" in problem.body) compare(form, problem.body);
    else show(form.querySelector("[data-problem]"), problem);
    buttons.forEach((button) => { button.disabled = false; });
  }
}

function save(form, name) {
  const text = form.querySelector("textarea").value;
  const state = { "accept-next": "accepted", reject: "rejected", save: form.dataset.state ?? "candidate" }[name];
  if (!form.dataset.url) return send("POST", page.dataset.captionsUrl, { json: { text, state } });
  const json = { version: Number(form.dataset.version), state };
  if (text !== form.querySelector("textarea").dataset.original) json.text = text;
  return send("PATCH", form.dataset.url, { json });
}

/** Show both texts of a stale edit. Until one is chosen, the form stays at the version it was drawn with. */
function compare(form, { current, version }) {
  const conflict = form.querySelector("[data-conflict]");
  conflict.dataset.version = version;
  form.querySelector("[data-theirs]").textContent = current;
  form.querySelector("[data-mine]").textContent = form.querySelector("textarea").value;
  conflict.hidden = false;
  form.querySelector("[data-take-theirs]").focus();
}

async function saveDraft(form) {
  const box = form.querySelector("textarea");
  const saved = form.querySelector("[data-saved]");
  try {
    await putDraft(form, box.value === box.dataset.original ? "" : box.value);
    saved.textContent = box.value === box.dataset.original ? "" : "draft saved";
  } catch {
    saved.textContent = "draft not saved: the server does not answer";
  }
}

function putDraft(form, text) {
  const id = form.dataset.caption ? Number(form.dataset.caption) : null;
  const version = form.dataset.version ? Number(form.dataset.version) : null;
  return send("PUT", page.dataset.draftUrl, { json: { text, caption_id: id, version }, keepalive: true });
}

page.querySelector("[data-flag]").addEventListener("click", (event) => attempt(async (button) => {
  const flagged = button.getAttribute("aria-pressed") !== "true";
  await send("PUT", button.dataset.flag, { json: { flagged } });
  button.setAttribute("aria-pressed", flagged);
  status.textContent = flagged ? "Flagged" : "Flag removed";
}, event.currentTarget));

page.querySelector("[data-delete]").addEventListener("click", (event) => {
  const dialog = document.querySelector("dialog.confirm");
  const { delete: url } = event.currentTarget.dataset;
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "delete") attempt(() => send("DELETE", url).then(() => location.assign(page.dataset.nextUrl)));
  }, { once: true });
  dialog.showModal();
});

async function attempt(action, ...options) {
  try {
    await action(...options);
  } catch (problem) {
    show(page.querySelector("[data-page-problem]"), problem);
  }
}
