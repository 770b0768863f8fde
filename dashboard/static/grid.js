// The grid of a collection: a place for every photo that the filter finds, of which those in sight are drawn.
// Without this module the page lists some photos and a link to the next.

import { send } from "./api.js";
import { edit } from "./grid_edit.js";
import { Rows } from "./grid_rows.js";
import { Ticks } from "./grid_ticks.js";
import { Tiles } from "./grid_tiles.js";

const REMEMBER_AFTER = 250; // milliseconds
const grid = document.querySelector("[data-grid]");
let ids, places, tiles, rows, ticks, timer;
let active = 0; // the place that the keys start from
let anchor = 0; // the place from which Shift extends

if (grid) begin();

async function begin() {
  const drawn = [...grid.querySelectorAll(".tile")];
  const found = await wanted().catch(() => null);
  if (!found?.ids.length) return; // the server's page stays, with its link to the next
  ids = found.ids;
  places = new Map(ids.map((id, index) => [id, index]));
  tiles = new Tiles(grid.dataset.tiles, drawn, dress);
  ticks = new Ticks(grid, found.total, { ids, onChange: () => { paint(); remember(); } });
  drawn.forEach(dress);
  const kept = history.state?.grid ?? fromAddress() ?? (fromReview() || {});
  history.scrollRestoration = "manual";
  active = anchor = indexOf(kept.active ?? kept.top ?? { index: 0 });
  const onSeen = (seen) => tiles.want(seen.map((index) => ids[index]));
  rows = new Rows(grid, ids.length, { tileAt, kept: () => active, onSeen });
  document.querySelectorAll("[data-scripted]").forEach((element) => { element.hidden = false; });
  goOn(found.after);
  if (kept.top) rows.goTo({ index: indexOf(kept.top), offset: kept.top.offset });
  else rows.draw();
  ticks.restore(kept);
  activate(active);
  if ((kept.active || kept.top) && document.activeElement === document.body) tileAt(active)?.focus({ preventScroll: true });
  listen();
}

async function wanted() {
  const { runs, after, total } = await (await send("GET", grid.dataset.ids)).json();
  const read = [];
  for (const run of runs ? runs.split(",") : []) {
    const [, first, rest = "0"] = /^(\d+)([+-]\d+)?$/.exec(run);
    const step = Math.sign(rest) || 1;
    for (let n = 0; n <= Math.abs(rest); n++) read.push(Number(first) + n * step);
  }
  return { ids: read, after, total };
}

/** The link to more leads behind the last place of the grid, where there is more. */
function goOn(after) {
  const link = document.getElementById("more");
  if (!link) return;
  if (!after) return link.parentElement.remove();
  const address = new URL(link.href);
  address.searchParams.set("after", after);
  link.href = address;
  link.textContent = "Go on behind these";
}

// Where somebody was: the browser's history, the address, or what this tab remembers says it.

function fromAddress() {
  const named = /^#item-(\d+)$/.exec(location.hash);
  return named && { top: { id: Number(named[1]), index: 0, offset: innerHeight / 4 } };
}

/** Links that lead back from review know the filter, but not the place. */
function fromReview() {
  const from = document.referrer && new URL(document.referrer);
  return from && from.origin === location.origin && from.pathname.startsWith("/items/") && JSON.parse(sessionStorage.getItem(here()) ?? "null");
}

function here() {
  const words = new URLSearchParams(location.search);
  words.sort();
  return `grid ${location.pathname}?${words}`;
}

/** The place of an item, or the one where it was. */
function indexOf({ id, index }) {
  return places.get(id) ?? Math.min(index, ids.length - 1);
}

function remember() {
  clearTimeout(timer);
  timer = setTimeout(keep, REMEMBER_AFTER);
}

function keep() {
  clearTimeout(timer);
  const top = rows.place();
  const selected = { ticked: [...ticks.ticked], everything: ticks.everything };
  const kept = { top: { ...top, id: ids[top.index] }, active: { id: ids[active], index: active }, ...selected };
  history.replaceState({ ...history.state, grid: kept }, "");
  sessionStorage.setItem(here(), JSON.stringify(kept));
}

// One tile has the focus; Tab leads past the others.

function tileAt(index) {
  return tiles.of(ids[index]);
}

/** What every tile needs that has just been drawn. */
function dress(tile) {
  const id = Number(tile.dataset.item);
  const index = places.get(id);
  tile.setAttribute("role", "gridcell");
  if (rows) tile.setAttribute("aria-colindex", (index % rows.columns) + 1);
  tile.tabIndex = index === active ? 0 : -1;
  tile.querySelectorAll("a, button, input").forEach((part) => { part.tabIndex = -1; });
  ticks.paint(tile);
}

function paint() {
  tiles.held.forEach((tile) => ticks.paint(tile));
}

function activate(index) {
  tileAt(active).tabIndex = -1;
  active = index;
  tileAt(active).tabIndex = 0;
}

function focus(index) {
  activate(index);
  rows.reveal(index, ticks.bar.hidden ? 0 : ticks.bar.offsetHeight + 8);
  tileAt(index).focus({ preventScroll: true });
  remember();
}

function extend(from, to) {
  const [first, last] = from < to ? [from, to] : [to, from];
  ticks.add(ids.slice(first, last + 1));
}

function open(tile) {
  keep();
  const link = tile.querySelector("a");
  if (link) location.assign(link.href);
}

function startEditing(index) {
  focus(index);
  const tile = tileAt(index);
  if (!tile.querySelector(".tile-caption")) return;
  edit(tile, { onLeft: () => tile.focus({ preventScroll: true }), onAccepted: accepted });
}

async function accepted(id) {
  document.querySelector("[data-grid-status]").textContent = "Accepted";
  focus(Math.min(active + 1, ids.length - 1));
  await tiles.load([id]).catch(() => {});
}

const KEYS = {
  ArrowLeft: (index) => index - 1,
  ArrowRight: (index) => index + 1,
  ArrowUp: (index) => index - rows.columns,
  ArrowDown: (index) => (index + rows.columns < ids.length ? index + rows.columns : rowOf(index) < rows.count - 1 ? ids.length - 1 : index),
  PageUp: (index) => Math.max(index - rows.rowsInSight * rows.columns, index % rows.columns),
  PageDown: (index) => Math.min(index + rows.rowsInSight * rows.columns, ids.length - 1),
  Home: () => 0,
  End: () => ids.length - 1,
};
const rowOf = (index) => Math.floor(index / rows.columns);

function move(event) {
  const to = KEYS[event.key](active);
  event.preventDefault();
  if (to < 0 || to >= ids.length) return;
  if (!event.shiftKey) anchor = to;
  focus(to);
  if (event.shiftKey) extend(anchor, to);
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !event.target.closest("[role=gridcell]")) return;
  if (event.key in KEYS) return move(event);
  if (event.key === " ") {
    anchor = active;
    ticks.toggle(ids[active]);
  } else if (event.key === "Enter" && !event.target.matches("button, a")) open(tileAt(active));
  else if (event.key === "e") startEditing(active);
  else if (event.key === "Escape" && ticks.number) ticks.clear();
  else return;
  event.preventDefault();
}

function clicked(event) {
  const tile = event.target.closest(".tile");
  const index = tile ? places.get(Number(tile.dataset.item)) : undefined;
  if (index === undefined || event.target.closest(".tile-editor")) return;
  if (event.target.closest("[data-edit]")) return startEditing(index);
  if (!event.shiftKey && !event.target.matches("[data-tick]")) return;
  if (!event.target.matches("[data-tick]")) event.preventDefault(); // Shift and a click would open a window
  activate(index);
  if (event.shiftKey) extend(anchor, index);
  else {
    anchor = index;
    ticks.toggle(ids[index]);
  }
  tileAt(index).focus({ preventScroll: true });
  // A click ticks its box by itself, whatever became of the selection.
  setTimeout(() => ticks.paint(tileAt(index)));
  remember();
}

function listen() {
  grid.addEventListener("keydown", pressed);
  grid.addEventListener("click", clicked);
  grid.addEventListener("focusin", ({ target }) => {
    const tile = target.closest(".tile");
    if (tile && places.has(Number(tile.dataset.item))) activate(places.get(Number(tile.dataset.item)));
  });
  addEventListener("scroll", remember, { passive: true });
  // A browser that already leaves the page for another keeps nothing more; on phones only the second is told.
  addEventListener("beforeunload", keep);
  addEventListener("pagehide", keep);
}
