// The tiles of a grid: drawn by the server, fetched when their places come into sight, kept while there is room.

import { send } from "./api.js";

const AT_ONCE = 120;
const KEPT = 1500;
const SETTLED = 60; // milliseconds without scrolling

export class Tiles {
  /** `onDrawn` is called with every tile that is new, one that waits for the server's included. */
  constructor(url, drawn, onDrawn) {
    this.url = url;
    this.held = new Map();
    this.gone = new Set();
    this.onDrawn = onDrawn;
    drawn.forEach((tile) => this.held.set(Number(tile.dataset.item), tile));
  }

  /** The tile of an item, or a place that waits for it. */
  of(id) {
    if (!this.held.has(id)) {
      this.held.set(id, waiting(id, this.gone.has(id)));
      this.onDrawn(this.held.get(id));
    }
    return this.held.get(id);
  }

  /** Fetch those of the items that wait for their tiles, once the window has come to rest. */
  want(ids) {
    this.wanted = ids;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetch(), SETTLED);
    this.forget(ids);
  }

  async fetch() {
    if (this.busy) return;
    const missing = this.wanted.filter((id) => this.of(id).hasAttribute("data-waiting")).slice(0, AT_ONCE);
    if (!missing.length) return;
    this.busy = true;
    const done = await this.load(missing).then(() => true, () => false);
    this.busy = false;
    this.timer = setTimeout(() => this.fetch(), done ? 0 : 5000);
  }

  /** Draw tiles anew. */
  async load(ids) {
    const address = `${this.url}${this.url.includes("?") ? "&" : "?"}show=${ids.join(",")}`;
    const answer = await (await send("GET", address)).text();
    const drawn = [...new DOMParser().parseFromString(answer, "text/html").querySelectorAll(".tile")];
    drawn.forEach((tile) => this.replace(Number(tile.dataset.item), document.adoptNode(tile)));
    const found = new Set(drawn.map((tile) => Number(tile.dataset.item)));
    ids.filter((id) => !found.has(id)).forEach((id) => {
      this.gone.add(id);
      this.replace(id, waiting(id, true));
    });
  }

  replace(id, tile) {
    const old = this.held.get(id);
    this.held.set(id, tile);
    const focused = old?.contains(document.activeElement);
    old?.replaceWith(tile);
    this.onDrawn(tile);
    if (focused) tile.focus({ preventScroll: true });
  }

  /** Let go of tiles that are out of sight, the longest known first. */
  forget(seen) {
    const keep = new Set(seen);
    for (const [id, tile] of this.held) {
      if (this.held.size <= KEPT) return;
      if (!keep.has(id) && !tile.isConnected) this.held.delete(id);
    }
  }
}

function waiting(id, gone) {
  const tile = document.createElement("li");
  tile.className = gone ? "tile tile-gone" : "tile tile-waiting";
  tile.dataset.item = id;
  if (!gone) tile.dataset.waiting = "";
  const text = Object.assign(document.createElement("span"), { className: "tile-blank", textContent: gone ? "Not here any more" : "…" });
  tile.append(text);
  return tile;
}
