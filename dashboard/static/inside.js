// Looks inside the model: the words of a caption by how sure the network is of each, other words for a place,
// the rest written anew, and attention over the photo.

import { send } from "./api.js";
import { hideAttention, isAttentionShown, showAttention } from "./attention.js";
import { insertText, replaceText } from "./box.js";
import { onKey } from "./keys.js";
import { ask } from "./question.js";
import { onShown } from "./shown.js";
import { aligned, cut, inPlaceOf } from "./words.js";

const OTHERS = 5;
const SURE = 0.95; // a confidence without tint
const PALEST = 0.35; // what is less certain is tinted no stronger
let panels = []; // of the photo that is shown
let muted = false; // whether people do not want to see attention

/** The row of words under the box of one caption. */
class Panel {
  constructor(section) {
    this.section = section;
    this.form = section.closest("form.caption");
    this.box = this.form.querySelector("textarea");
    this.inside = null;
    this.words = [];
    this.position = 0; // of the word that the Tab key comes to
    this.question = 0; // the number of the last one asked
    this.part("row").addEventListener("mouseover", (event) => this.look(positionOf(event.target)));
    this.part("row").addEventListener("mouseleave", () => this.look(positionOf(document.activeElement)));
    this.part("row").addEventListener("focusin", (event) => this.look(this.moveTo(positionOf(event.target))));
    this.part("row").addEventListener("focusout", () => hideAttention());
    section.addEventListener("click", (event) => this.click(event.target.closest("button")));
    section.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("input", () => { this.close(); this.draw(); });
    this.load();
  }

  part(name) {
    return this.section.querySelector(`[data-${name}]`);
  }

  /** Tell people, or only those who listen, where the others see it anyway. */
  say(text, { seen = false } = {}) {
    const said = this.part("words-said");
    said.classList.toggle("visually-hidden", seen);
    said.textContent = text;
  }

  async load() {
    try {
      const told = await (await send("GET", this.section.dataset.words)).json();
      if (!this.section.isConnected) return;
      const bytes = Uint8Array.from(atob(told.attention ?? ""), (letter) => letter.charCodeAt(0));
      this.inside = { ...told, cells: told.side ** 2, bytes };
      this.part("legend").hidden = !bytes.length;
      if (!told.calibrated) this.say("No tint: this checkpoint does not know how far to trust a word.");
      this.draw();
    } catch (problem) {
      this.say(problem.message);
    }
  }

  /** Draw the words of the box; those that are still the network's carry what it thought of them. */
  draw() {
    if (!this.inside) return;
    const words = cut(this.box.value);
    const tokens = aligned(words, this.inside.words.map((word) => word.text));
    this.words = words.map((word, index) => ({ ...word, token: tokens[index], said: this.inside.words[tokens[index]] }));
    this.position = Math.max(0, Math.min(this.position, words.length - 1));
    this.part("row").replaceChildren(...this.words.map((word, index) => this.button(word, index)));
  }

  button(word, index) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "word", textContent: word.text });
    button.dataset.position = index;
    button.tabIndex = index === this.position ? 0 : -1;
    button.setAttribute("aria-expanded", "false");
    const sure = word.said?.confidence ?? null;
    if (sure !== null) {
      const tint = Math.max(0, Math.min(1, (SURE - sure) / (SURE - PALEST)));
      button.style.setProperty("--tint", `${Math.round(45 * tint)}%`);
      button.title = `${Math.round(100 * sure)} % sure`;
    }
    const doubtful = word.said?.doubtful;
    button.classList.toggle("doubtful", Boolean(doubtful));
    button.setAttribute("aria-label", [word.text, button.title, doubtful && "doubtful"].filter(Boolean).join(", "));
    return button;
  }

  buttons() {
    return [...this.part("row").children];
  }

  /** Let the Tab key come to this word from now on. */
  moveTo(position) {
    if (position === null) return null;
    this.position = position;
    this.buttons().forEach((button, index) => { button.tabIndex = index === position ? 0 : -1; });
    return position;
  }

  focus(position) {
    this.buttons()[position]?.focus();
  }

  /** Lay the attention of a word over the photo, if the network paid any. */
  look(position) {
    const { inside } = this;
    const token = this.words[position]?.token ?? -1;
    const photo = this.form.closest("[data-review]").querySelector(".photo img");
    if (muted || token < 0 || !inside?.bytes.length || !photo) return hideAttention();
    const grid = inside.bytes.subarray(token * inside.cells, (token + 1) * inside.cells);
    return showAttention(photo, grid, inside.side, inside.framing);
  }

  toggleAttention() {
    if (isAttentionShown()) {
      muted = true;
      hideAttention();
      return this.say("Attention is off.");
    }
    muted = false;
    if (!this.inside?.bytes.length) return this.say("This network paid no attention to places of the photo.");
    this.say("");
    const focused = positionOf(document.activeElement);
    return focused === null ? this.focus(this.position) : this.look(focused);
  }

  /** Go to the next doubtful word, in this direction and round the ends. */
  step(by) {
    const doubtful = this.words.flatMap((word, index) => (word.said?.doubtful ? [index] : []));
    if (!doubtful.length) return this.say("No word of this caption is doubtful.");
    const from = positionOf(document.activeElement) ?? (by > 0 ? -1 : this.words.length);
    const ahead = by > 0 ? doubtful.find((index) => index > from) : doubtful.findLast((index) => index < from);
    return this.focus(ahead ?? doubtful.at(by > 0 ? 0 : -1));
  }

  click(button) {
    if (!button || this.box.readOnly) return;
    if (button.dataset.position) this.open(Number(button.dataset.position));
    else if (button.dataset.other) this.take(button.dataset.other);
    else if ("writeOn" in button.dataset) this.writeOn();
    else if ("close" in button.dataset) this.leave();
  }

  /** Ask for other words for this place. */
  async open(position) {
    if (this.opened === position) return this.leave();
    this.close();
    this.moveTo(position);
    this.opened = position;
    const word = this.words[position];
    this.buttons()[position].setAttribute("aria-expanded", "true");
    this.part("heading").textContent = `Other words for “${word.text}”`;
    this.part("desk").setAttribute("aria-label", `Other words for ${word.text}`);
    this.part("desk").hidden = false;
    const words = this.words.map(({ text }) => text);
    const answer = await this.ask({ kind: "replacements", words, position, count: OTHERS });
    if (!answer) return undefined;
    const others = answer.replacements.map((other) => inPlaceOf(word.text, other.word));
    this.part("others").replaceChildren(...others.map(otherButton));
    const counted = others.map((other, index) => `${index + 1} ${other}`).join(", ");
    return others.length ? this.say(`Instead of “${word.text}”: ${counted}`, { seen: true }) : this.say("There is no other word.");
  }

  /** Put another word in the place that is open. */
  take(other) {
    const { text, start, end } = this.words[this.opened];
    this.box.focus();
    this.box.setSelectionRange(start, end);
    insertText(this.box, other);
    this.say(`“${other}” stands for “${text}”.`);
  }

  /** Let the network write the rest anew behind the word that is open. */
  async writeOn() {
    const prefix = this.box.value.slice(0, this.words[this.opened].end);
    const answer = await this.ask({ kind: "continuation", prefix });
    if (!answer) return;
    replaceText(this.box, answer.text);
    this.say(`Written on behind “${prefix}”: ${answer.text}`);
  }

  /** Ask the network; null where the answer comes too late, or not at all. */
  async ask(question) {
    const number = ++this.question;
    const wants = () => number === this.question && this.section.isConnected;
    try {
      const about = { ...question, caption_id: Number(this.form.dataset.caption) };
      return await ask(this.section.dataset.ask, about, { wants, waits: (text) => this.say(text) });
    } catch (problem) {
      if (wants()) this.say(problem.message);
      return null;
    }
  }

  /** Close what is open; an answer on its way to it is dropped. */
  close() {
    this.question++;
    this.buttons()[this.opened]?.setAttribute("aria-expanded", "false");
    this.opened = undefined;
    this.part("desk").hidden = true;
    this.part("others").replaceChildren();
    this.say("");
  }

  /** Close what is open and go back to its word. */
  leave() {
    const position = this.opened;
    this.close();
    this.focus(position);
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const here = positionOf(event.target);
    const others = [...this.part("others").children];
    const choices = this.opened === undefined ? [] : [...this.part("desk").querySelectorAll("button")];
    const chosen = /^[1-9]$/.test(event.key) ? others[Number(event.key) - 1] : undefined;
    if (chosen) this.take(chosen.dataset.other);
    else if (event.key === "Escape" && this.opened !== undefined) this.leave();
    else if (here !== null && event.key === "ArrowDown" && choices.length) choices[0].focus();
    else if (here !== null && placeBehind(event.key, here, this.words.length) !== null) this.focus(placeBehind(event.key, here, this.words.length));
    else if (choices.includes(event.target) && event.key.startsWith("Arrow")) this.arrow(event, choices);
    else return;
    event.preventDefault();
  }

  /** Move among what can be chosen for the open word; above the first is the word itself. */
  arrow(event, choices) {
    const to = choices.indexOf(event.target) + (["ArrowDown", "ArrowRight"].includes(event.key) ? 1 : -1);
    if (to < 0) this.focus(this.opened);
    else choices[Math.min(to, choices.length - 1)].focus();
  }
}

function otherButton(other, index) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "other" });
  button.dataset.other = other;
  button.append(Object.assign(document.createElement("kbd"), { textContent: index + 1 }), ` ${other}`);
  return button;
}

function positionOf(element) {
  const place = element?.closest?.("[data-words] [data-position]")?.dataset.position;
  return place === undefined ? null : Number(place);
}

function placeBehind(key, here, count) {
  const to = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: count - 1 }[key];
  return to === undefined ? null : Math.max(0, Math.min(to, count - 1));
}

/** The caption that keys are for: the one with the focus, the one that waits, or the first. */
function current() {
  return panels.find(({ form }) => form.contains(document.activeElement))
    ?? panels.find(({ form }) => form.dataset.state === "candidate") ?? panels[0];
}

onShown((article) => {
  hideAttention();
  panels = [...article.querySelectorAll("[data-words]")].map((section) => new Panel(section));
});

const onCurrent = (act) => () => {
  const panel = current();
  return panel ? act(panel) : false;
};
onKey("doubt-before", onCurrent((panel) => { panel.step(-1); }));
onKey("doubt-behind", onCurrent((panel) => { panel.step(1); }));
onKey("attention", onCurrent((panel) => { panel.toggleAttention(); }));
for (let number = 1; number <= OTHERS; number++) {
  onKey(`alternative-${number}`, onCurrent(({ form, box }) => {
    const button = form.querySelectorAll(".alternatives [data-alternative]")[number - 1];
    if (!button || box.readOnly) return false;
    replaceText(box, button.dataset.alternative);
    return true;
  }));
}
