// Quality checks as one types: hints under the box of a caption, and never a wall.

import { onShown } from "./shown.js";

const HINT_AFTER = 400; // milliseconds without a keystroke, so that unfinished words are left in peace
// A caption is one sentence; nobody in Flickr8k or COCO needed more than some 30 words. Screen readers read an
// alt text in one breath that cannot be paused, and several cut it off behind 125 characters. A description
// is there for the rest, but on one screen.
const LONGEST = { caption: [30, "words"], alt: [125, "characters"], description: [300, "words"] };
const MEDIA = "(?:image|picture|photo|photograph|pic|snapshot|screenshot)";
const SORT = "(?:(?:close[- ]?up|black[- ]and[- ]white|aerial|beautiful|big|blurr(?:ed|y)|colou?r|digital|large|nice|old|small|stock|vintage)\\s+){0,2}";
const OPENINGS = [
  new RegExp(`^\\P{L}*(?:(?:an?|the|this|one|some)\\s+)?${SORT}${MEDIA}s?\\s+(?:of|showing|shows|depicting|depicts|featuring|features)(?!\\p{L})`, "iu"),
  new RegExp(`^\\P{L}*(?:this|here)\\s*(?:is|['’]s)\\s+an?\\s+${SORT}${MEDIA}(?!\\p{L})`, "iu"),
  new RegExp(`^\\P{L}*in\\s+(?:the|this)\\s+${SORT}${MEDIA}(?!\\p{L})`, "iu"),
];
// Words that may follow themselves: "the women that that man saw", "Frauen, die die Straße überqueren".
const MAY_FOLLOW_THEMSELVES = { en: ["had", "that"], de: ["die", "der", "das", "sie"], nl: ["die", "dat"], fr: ["nous", "vous"] };
const DOUBLE_THEIR_WORDS = ["bn", "fil", "hi", "id", "ms", "ta", "te", "th", "tl", "tr", "vi"]; // as a matter of grammar
const WITHOUT_STOPS = ["lo", "th"];
const STOPS = /[.!?…‽。！？｡؟۔।॥།။។։\u037e]["'”’»«)\]」』]*\s*$/u; // with what may close behind them
const WITHOUT_BLANKS = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
const WORD = /[\p{L}\p{M}\p{N}]+(?:['’-][\p{L}\p{M}\p{N}]+)*/gu;

/** What may be wrong with a text: a list of { rule, words, from, to }, places counted as the text box does. */
export function problemsOf(text, { kind = "caption", language = "en", avoid = [] } = {}) {
  if (!text.trim()) return [{ rule: "empty", words: "Nothing is written yet.", from: 0, to: text.length }];
  const spoken = language.toLowerCase().split("-")[0];
  return [
    ...tooLong(text, kind, language),
    ...(spoken === "en" ? openings(text) : []),
    ...uncapitalised(text),
    ...repeated(text, spoken),
    ...(WITHOUT_STOPS.includes(spoken) ? [] : unstopped(text)),
    ...avoided(text, avoid),
  ];
}

/** The words to avoid, from the lines in which they are kept. */
export function linesOf(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean);
}

function tooLong(text, kind, language) {
  const [most, unit] = LONGEST[kind] ?? LONGEST.caption;
  const length = unit === "words" ? numberOfWords(text, language) : [...text.trim()].length;
  if (length <= most) return [];
  const name = { caption: "A caption", alt: "An alt text", description: "A description" }[kind] ?? "A caption";
  return [{ rule: "too long", words: `${name} should have ${most} ${unit} at most; this has ${length}.`, from: 0, to: text.length }];
}

function openings(text) {
  const found = OPENINGS.map((opening) => text.match(opening)).find(Boolean);
  if (!found) return [];
  return [{ rule: "opening", words: `Say what is seen, without “${found[0].trim()}”.`, from: found.index, to: found.index + found[0].length }];
}

function uncapitalised(text) {
  const [first] = text.matchAll(WORD);
  // Names such as iPhone begin as they like.
  if (!first || !/^\p{Ll}/u.test(first[0]) || /\p{Lu}/u.test(first[0])) return [];
  return [{ rule: "no capital", words: "Begin with a capital letter.", from: first.index, to: first.index + first[0].length }];
}

function repeated(text, spoken) {
  if (DOUBLE_THEIR_WORDS.includes(spoken)) return [];
  const words = [...text.matchAll(WORD)].map((found) => ({ word: found[0].toLowerCase(), from: found.index, to: found.index + found[0].length }));
  const problems = [];
  for (let place = 1; place < words.length; place += 1) {
    const length = [1, 2, 3, 4].find((count) => saidTwice(text, words, place, count, spoken));
    if (!length) continue;
    const [from, to] = [words[place - length].from, words[place + length - 1].to];
    const said = text.slice(words[place].from, to).replace(/\s+/g, " ");
    problems.push({ rule: "repeated", words: `“${said}” is there twice.`, from, to });
    place += length - 1;
  }
  return problems;
}

/** Whether the `count` words from `place` on are those before them, with nothing but blanks between. */
function saidTwice(text, words, place, count, spoken) {
  if (place < count || place + count > words.length) return false;
  const [before, behind] = [words.slice(place - count, place), words.slice(place, place + count)];
  if (!before.every(({ word }, index) => word === behind[index].word)) return false;
  if (count === 1 && (MAY_FOLLOW_THEMSELVES[spoken]?.includes(before[0].word) || !/\p{L}/u.test(before[0].word))) return false;
  const all = words.slice(place - count, place + count);
  return all.slice(1).every(({ from }, index) => /^\s+$/.test(text.slice(all[index].to, from)));
}

function unstopped(text) {
  const end = text.trimEnd().length;
  return STOPS.test(text) ? [] : [{ rule: "no stop", words: "End with a full stop.", from: end, to: end }];
}

function avoided(text, avoid) {
  return avoid.flatMap((word) => [...text.matchAll(whole(word))].map((found) => (
    { rule: "avoid", words: `The guidelines avoid “${found[0]}”.`, from: found.index, to: found.index + found[0].length }
  )));
}

/** The word as a whole, however its accents are written; scripts without blanks have no whole words. */
function whole(word) {
  const forms = [word.normalize("NFC"), word.normalize("NFD")];
  const escaped = forms.map((form) => form.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&").replace(/\s+/g, "\\s+"));
  const letters = [...word];
  const before = WITHOUT_BLANKS.test(letters[0]) ? "" : "(?<![\\p{L}\\p{M}\\p{N}_])";
  const behind = WITHOUT_BLANKS.test(letters.at(-1)) ? "" : "(?![\\p{L}\\p{M}\\p{N}_])";
  return new RegExp(`${before}(?:${escaped.join("|")})${behind}`, "giu");
}

function numberOfWords(text, language) {
  if (!WITHOUT_BLANKS.test(text) || !Intl.Segmenter) return [...text.matchAll(WORD)].length;
  const [locale] = attempt(() => Intl.getCanonicalLocales(language)) ?? [undefined];
  const parts = new Intl.Segmenter(locale, { granularity: "word" }).segment(text);
  return [...parts].filter((part) => part.isWordLike).length;
}

function attempt(ask) {
  try {
    return ask();
  } catch {
    return undefined; // a tag that the browser does not know
  }
}

function attend(form) {
  const region = form.querySelector("[data-checks]");
  const box = form.querySelector("textarea");
  if (!region || !box || region.dataset.attended) return;
  region.dataset.attended = "yes";
  const said = linesOf(region.dataset.avoid ?? "");
  let timer;
  const check = () => {
    const kind = form.elements.kind?.value ?? region.dataset.kind;
    const language = form.elements.language?.value || box.lang || "en";
    tell(region, problemsOf(box.value, { kind, language, avoid: said }));
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(check, HINT_AFTER);
  };
  form.addEventListener("input", soon);
  form.addEventListener("change", soon);
  if (box.value) check();
}

/** Write the hints, if they are others than those that stand there: what does not change is not read again. */
function tell(region, problems) {
  const words = [...new Set(problems.map((problem) => problem.words))];
  const there = [...region.querySelectorAll("li")].map((line) => line.textContent);
  if (words.join("\n") === there.join("\n")) return;
  const list = document.createElement("ul");
  for (const sentence of words) list.append(Object.assign(document.createElement("li"), { textContent: sentence }));
  region.replaceChildren(...(words.length ? [list] : []));
}

onShown((article) => article.querySelectorAll("form.caption").forEach(attend));
