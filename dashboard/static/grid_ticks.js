// Which photos of a grid are selected: ticked one by one, or all that the filter finds.

export class Ticks {
  /** `ids` are those of the grid's places; `total` is what the filter finds, which may be more. */
  constructor(grid, total, { ids, onChange }) {
    Object.assign(this, { grid, total, ids, onChange, ticked: new Set(), everything: false });
    this.most = Number(grid.dataset.most);
    this.bar = document.querySelector("[data-bar]");
    this.status = document.querySelector("[data-grid-status]");
    document.querySelectorAll("[data-select-all]").forEach((button) => {
      button.textContent = `Select all ${total.toLocaleString("en")}`;
      button.addEventListener("click", () => this.all());
    });
    this.bar.querySelector("[data-clear]").addEventListener("click", () => this.clear());
  }

  has(id) {
    return this.everything || this.ticked.has(id);
  }

  get number() {
    return this.everything ? this.total : this.ticked.size;
  }

  toggle(id) {
    if (this.everything && !this.spellOut()) return;
    if (this.ticked.delete(id)) this.changed();
    else this.add([id]);
  }

  add(ids) {
    if (this.everything) return;
    const all = new Set([...this.ticked, ...ids]);
    if (all.size > this.most) {
      this.status.textContent = `Up to ${this.most} photos can be ticked one by one; select all that the filter finds instead.`;
      this.bar.querySelector("[data-selected]").textContent = `${this.words()}, the most at once`;
      return;
    }
    this.ticked = all;
    this.changed();
  }

  all() {
    this.everything = true;
    this.ticked.clear();
    this.changed();
  }

  clear() {
    this.everything = false;
    this.ticked.clear();
    this.changed();
  }

  /** Turn "all" into ticks, of which one can be taken away, where they are not too many. */
  spellOut() {
    if (this.total > this.most || this.ids.length < this.total) {
      this.status.textContent = `All ${this.total.toLocaleString("en")} are selected; narrow the filter to leave some out.`;
      return false;
    }
    this.everything = false;
    this.ticked = new Set(this.ids);
    return true;
  }

  restore({ ticked = [], everything = false }) {
    const here = new Set(this.ids);
    this.ticked = new Set(ticked.filter((id) => here.has(id)));
    this.everything = everything;
    if (this.number) this.changed();
  }

  words() {
    return this.everything ? `All ${this.total.toLocaleString("en")} selected` : `${this.number.toLocaleString("en")} selected`;
  }

  changed() {
    this.bar.hidden = !this.number;
    this.bar.querySelector("[data-selected]").textContent = this.words();
    this.bar.querySelector("[data-select-all]").hidden = this.everything;
    this.status.textContent = this.number ? this.words() : "Nothing selected";
    this.bar.querySelector("[data-bulk-link]").href = address(this.grid.dataset.bulk, this.query());
    this.bar.querySelector("[data-review-link]").href = address(this.grid.dataset.review, this.query(this.order));
    this.onChange();
  }

  get order() {
    return this.grid.dataset.order === "import" ? {} : { order: this.grid.dataset.order };
  }

  query(more = {}) {
    if (this.everything) return new URLSearchParams({ ...JSON.parse(this.grid.dataset.words), ...more });
    return new URLSearchParams({ ids: [...this.ticked].sort((a, b) => a - b).join(","), ...more });
  }

  /** Show on a tile whether it is selected. */
  paint(tile) {
    const selected = this.has(Number(tile.dataset.item));
    tile.setAttribute("aria-selected", selected);
    tile.classList.toggle("selected", selected);
    const box = tile.querySelector("[data-tick]");
    if (box) box.checked = selected;
  }
}

function address(path, query) {
  const words = query.toString().replaceAll("%2C", ",");
  return words ? `${path}?${words}` : path;
}
