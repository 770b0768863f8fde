// Correcting a caption in its tile: Ctrl+Enter accepts it, Esc leaves it as it was.

import { send, show } from "./api.js";
import { replaceText } from "./box.js";

const template = document.querySelector("[data-editor]");

/** Open a tile's editor; `onAccepted` is called with the id once the caption is accepted, `onLeft` otherwise. */
export function edit(tile, { onAccepted, onLeft }) {
  const open = document.querySelector(".tile-editor");
  if (open) return open.querySelector("textarea").focus();
  if ("draftedElsewhere" in tile.dataset) return location.assign(tile.querySelector("a").href);
  const form = template.content.firstElementChild.cloneNode(true);
  const box = form.querySelector("textarea");
  const shown = tile.querySelector(".tile-caption:not(.none)")?.textContent ?? "";
  const state = { tile, form, box, original: shown, version: Number(tile.dataset.version), theirs: null };
  box.value = tile.dataset.draft ?? shown;
  box.lang = tile.dataset.language ?? "en";
  box.setAttribute("aria-label", `Caption of ${tile.dataset.path}`);
  form.querySelector("[data-drafted]").hidden = !("draft" in tile.dataset);
  tile.append(form);
  tile.classList.add("editing");
  box.focus();
  box.setSelectionRange(box.value.length, box.value.length);
  const leave = () => { close(state); onLeft(); };
  const accept = () => save(state, onAccepted);
  form.addEventListener("submit", (event) => { event.preventDefault(); accept(); });
  form.addEventListener("keydown", (event) => keys(event, { accept, leave }));
  form.querySelector("[data-leave]").addEventListener("click", leave);
  form.querySelector("[data-take-theirs]").addEventListener("click", () => { choose(state); replaceText(box, state.original); });
  form.querySelector("[data-keep-mine]").addEventListener("click", () => { choose(state); accept(); });
  addEventListener("beforeunload", state.guard = (event) => { if (isChanged(state)) event.preventDefault(); });
}

function keys(event, { accept, leave }) {
  event.stopPropagation(); // the keys of the grid are not those of its editor
  if (event.isComposing || event.keyCode === 229) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    accept();
  } else if (event.key === "Escape") {
    event.preventDefault();
    leave();
  }
}

const isChanged = ({ box, original }) => box.value !== original;

function close({ tile, form, guard }) {
  removeEventListener("beforeunload", guard);
  form.remove();
  tile.classList.remove("editing");
}

async function save(state, onAccepted) {
  const { form, box, tile } = state;
  const problem = form.querySelector("[data-problem]");
  if (form.inert || state.theirs) return; // two texts: first the person chooses
  problem.hidden = true;
  form.inert = true;
  try {
    await send(...request(state));
    close(state);
    onAccepted(Number(tile.dataset.item));
  } catch (error) {
    form.inert = false;
    if (error.status === 409 && "current" in error.body) compare(state, error.body);
    else {
      show(problem, error);
      box.focus();
    }
  }
}

function request({ tile, box, version, original }) {
  const text = box.value;
  if (!tile.dataset.url) return ["POST", tile.dataset.captions, { json: { text, state: "accepted" } }];
  const changed = text === original ? {} : { text };
  return ["PATCH", tile.dataset.url, { json: { version, state: "accepted", ...changed } }];
}

/** Show both texts of a stale edit; until one is chosen, nothing is saved. */
function compare(state, theirs) {
  const conflict = state.form.querySelector("[data-conflict]");
  state.theirs = theirs;
  conflict.querySelector("[data-theirs]").textContent = theirs.current;
  conflict.querySelector("[data-mine]").textContent = state.box.value;
  conflict.hidden = false;
  conflict.querySelector("[data-take-theirs]").focus();
}

function choose(state) {
  state.version = state.theirs.version;
  state.original = state.theirs.current;
  state.theirs = null;
  state.form.querySelector("[data-conflict]").hidden = true;
}
