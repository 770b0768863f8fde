// The rows of a grid: as high as all of them together, but only those in sight, and some around, are there.

const AROUND = 8; // rows

export class Rows {
  /** `tileAt` gives the tile of a place, `kept` the place that is always there; `onSeen` hears which are. */
  constructor(grid, total, { tileAt, kept, onSeen }) {
    Object.assign(this, { grid, total, tileAt, kept, onSeen, drawn: new Map() });
    grid.replaceChildren();
    grid.classList.add("virtual");
    grid.setAttribute("role", "grid");
    grid.setAttribute("aria-multiselectable", "true");
    this.measure();
    addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.resized()).observe(grid);
  }

  /** How many tiles stand in a row, and how high it is: the style sheet decides, a row in passing tells. */
  measure() {
    const probe = this.row();
    probe.append(Object.assign(document.createElement("li"), { className: "tile tile-waiting" }));
    probe.firstChild.append(Object.assign(document.createElement("span"), { className: "tile-blank" }));
    this.grid.append(probe);
    const style = getComputedStyle(probe);
    this.columns = style.gridTemplateColumns.split(" ").length;
    this.height = probe.offsetHeight + parseFloat(style.columnGap);
    probe.remove();
    this.width = this.grid.clientWidth;
    this.count = Math.ceil(this.total / this.columns);
    this.grid.style.height = `${this.count * this.height}px`;
    this.grid.setAttribute("aria-rowcount", this.count);
    this.grid.setAttribute("aria-colcount", this.columns);
  }

  resized() {
    if (this.grid.clientWidth === this.width) return;
    const place = this.place();
    const focused = this.grid.contains(document.activeElement) && document.activeElement;
    this.drawn.forEach((row) => row.remove());
    this.drawn.clear();
    this.measure();
    this.goTo(place);
    if (focused?.isConnected) focused.focus({ preventScroll: true });
  }

  /** Where the window stands: the first place that is in sight, and how far below the window's top. */
  place() {
    const top = this.grid.getBoundingClientRect().top;
    const row = Math.min(Math.max(Math.floor(-top / this.height), 0), this.count - 1);
    return { index: row * this.columns, offset: top + row * this.height };
  }

  goTo({ index, offset }) {
    const top = this.grid.getBoundingClientRect().top + scrollY;
    scrollTo({ top: top + Math.floor(index / this.columns) * this.height - offset, behavior: "instant" });
    this.draw();
  }

  /** Scroll no further than needed to show a place wholly, clear of what covers the window's bottom. */
  reveal(index, covered = 0) {
    const top = this.grid.getBoundingClientRect().top + Math.floor(index / this.columns) * this.height;
    const bottom = top + this.height - (innerHeight - covered);
    if (top < 0) scrollBy({ top: top - 8, behavior: "instant" });
    else if (bottom > 0) scrollBy({ top: Math.min(bottom, top), behavior: "instant" });
    this.draw();
  }

  get rowsInSight() {
    return Math.max(Math.floor(innerHeight / this.height), 1);
  }

  soon() {
    this.frame ??= requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = undefined;
    const top = -this.grid.getBoundingClientRect().top;
    const first = Math.max(Math.floor(top / this.height) - AROUND, 0);
    const last = Math.min(Math.floor((top + innerHeight) / this.height) + AROUND, this.count - 1);
    const kept = Math.floor(this.kept() / this.columns);
    for (const [number, row] of this.drawn) {
      if ((number < first || number > last) && number !== kept && !this.isInUse(row)) {
        row.remove();
        this.drawn.delete(number);
      }
    }
    for (let number = first; number <= last; number++) if (!this.drawn.has(number)) this.insert(number);
    if (!this.drawn.has(kept)) this.insert(kept);
    const around = this.placesIn(first, last, Math.max(Math.floor(top / this.height), 0));
    this.onSeen(around.includes(this.kept()) ? around : [...around, ...this.placesIn(kept, kept, kept)]);
  }

  /** Whoever has the focus, or writes, keeps the tile wherever the window goes. */
  isInUse(row) {
    return row.contains(document.activeElement) || row.querySelector(".tile-editor");
  }

  insert(number) {
    const row = this.row(number);
    for (let index = number * this.columns; index < Math.min((number + 1) * this.columns, this.total); index++) {
      const tile = this.tileAt(index);
      tile.setAttribute("aria-colindex", (index % this.columns) + 1);
      row.append(tile);
    }
    // In their order also for those who read the page without seeing it.
    const behind = [...this.drawn].filter(([other]) => other > number).sort(([a], [b]) => a - b)[0]?.[1];
    this.grid.insertBefore(row, behind ?? null);
    this.drawn.set(number, row);
  }

  row(number = 0) {
    const row = Object.assign(document.createElement("ul"), { className: "tiles" });
    row.setAttribute("role", "row");
    row.setAttribute("aria-rowindex", number + 1);
    row.style.transform = `translateY(${number * (this.height ?? 0)}px)`;
    return row;
  }

  /** The places of the rows, those in sight before those around. */
  placesIn(first, last, seen) {
    const rows = Array.from({ length: last - first + 1 }, (_, number) => first + number);
    rows.sort((a, b) => (a < seen) - (b < seen) || a - b);
    return rows.flatMap((row) => Array.from({ length: this.columns }, (_, column) => row * this.columns + column))
      .filter((index) => index < this.total);
  }
}
