// The way from photo to photo: each is drawn by the server, the next one is fetched while this one is looked at.

import { send } from "./api.js";
import { onKey } from "./keys.js";
import { focusOnChoice, isOpen } from "./conflict.js";
import { saveDrafts } from "./drafts.js";
import { empty, hasRefused } from "./outbox.js";
import { onShown, tellShown } from "./shown.js";
import { localise } from "./times.js";
import { trailOf } from "./trail.js";

const LONGEST_SKIP = 200; // photos
const FRESH = 150_000; // milliseconds; what the queue lent for longer may be somebody else's by now
const LAST_WAIT = 2000; // milliseconds for decisions on their way, before another page is opened
const status = document.querySelector("[data-status]");
const problem = document.querySelector("[data-page-problem]");
let article = document.querySelector("[data-review]");
let ahead = null; // a promise of what comes next: { url, page, at }
const passed = new Set(); // the photos that were shown since this page was opened
let shows = 0; // rises with every photo, so that one that comes late is not shown

export const trail = trailOf(article.dataset.collection);

/** The photo that is shown. */
export const shown = () => article;

/** Tell people who do not look, or who look elsewhere. */
export function say(text) {
  status.textContent = text;
}

/** Go on to the photo that is to be reviewed next. */
export async function advance() {
  const turn = ++shows;
  ahead ??= prepare();
  let { url, page, at } = await ahead;
  if (url && !page) page = await load(url);
  else if (url && Date.now() - at > FRESH) ({ url, page } = await prepare());
  if (turn !== shows) return;
  if (!url) await leave(article.dataset.collectionUrl);
  else if (!page) await leave(url);
  else arrive(page, url, true);
}

/** Stay at this photo, whatever was on its way. */
export function stay() {
  shows += 1;
}

/** Go to the photo at an address. */
export async function goTo(url, { push = true } = {}) {
  const turn = ++shows;
  const page = await load(url);
  if (turn !== shows) return;
  if (page) arrive(page, url, push);
  else await leave(url);
}

/** Draw the present photo anew; what was typed stays. */
export async function refresh() {
  const turn = ++shows;
  const decided = decisions();
  const page = await load(location.href);
  // What was decided meanwhile is not on this page yet; the answer to that draws it anew.
  if (turn !== shows || decisions() !== decided) return;
  if (!page) return location.reload();
  const { activeElement: focused } = document;
  const [caption, start, end] = [focused?.closest?.("form.caption")?.dataset.caption, focused?.selectionStart, focused?.selectionEnd];
  swap(page);
  const box = caption && article.querySelector(`form.caption[data-caption="${caption}"] textarea`);
  if (box) {
    box.focus({ preventScroll: true });
    box.setSelectionRange(start, end);
  }
}

/** Put the caret into the box of a caption, behind its text. */
export function edit(form) {
  const box = form.querySelector("textarea");
  form.closest("details")?.setAttribute("open", "");
  box.focus({ preventScroll: !isNarrow() });
  box.setSelectionRange(box.value.length, box.value.length);
}

/** The first caption that waits for a decision. */
export function waitingForm(among = article) {
  return among.querySelector('form.caption[data-state="candidate"]:not([data-decided])');
}

/** How many captions of the photo that is shown were decided since it was drawn. */
function decisions() {
  return article.querySelectorAll("form.caption[data-decided]").length;
}

function arrive(page, url, push) {
  const inBox = Boolean(document.activeElement?.closest("form.caption")) || document.activeElement === document.body;
  if (push) history.pushState(null, "", url);
  swap(page);
  ahead = prepare();
  window.scrollTo(0, 0);
  const stale = [...article.querySelectorAll("form.caption")].find(isOpen);
  if (stale) focusOnChoice(stale);
  else if (inBox && !isTouched()) edit(waitingForm() ?? article.querySelector("form.caption"));
  else article.focus({ preventScroll: true });
  say(article.dataset.said);
}

function swap(page) {
  for (const panel of article.querySelectorAll("details[data-panel]")) {
    page.querySelector(`details[data-panel="${panel.dataset.panel}"]`)?.toggleAttribute("open", panel.open);
  }
  article.replaceWith(page);
  article = page;
  document.title = page.dataset.title;
  arriveOnTrail();
  tellShown(page);
}

function arriveOnTrail() {
  trail.visit(article.dataset.item, location.href);
  const before = trail.before()?.url ?? article.dataset.previousUrl;
  const link = article.querySelector(".steps [rel=prev]");
  link.classList.toggle("disabled", !before);
  if (before) link.href = before;
}

/** Find out what comes next, and fetch it unless it is on the trail: people may have typed there since. */
function prepare() {
  const { item, queueUrl, unreviewedUrl } = article.dataset;
  passed.add(Number(item));
  const found = (async () => {
    if (trail.behind()) return { url: trail.behind().url, at: Date.now() };
    // At the end come those that were skipped on the way and still wait.
    const url = (await askQueue(queueUrl, item, passed)) ?? (await askQueue(unreviewedUrl, item, [Number(item)]));
    return { url, page: url && (await fetchPage(url)), at: Date.now() };
  })();
  found.catch(() => { ahead = null; });
  return found;
}

async function askQueue(queueUrl, item, skipped) {
  const skip = [...skipped].slice(-LONGEST_SKIP);
  const response = await send("POST", queueUrl, { json: { behind: Number(item), skip } });
  return response.status === 204 ? null : (await response.json()).url;
}

/** As `fetchPage`, once the server has what was typed and decided here, so that the page shows it. */
async function load(url) {
  await Promise.race([Promise.all([saveDrafts(), empty(LAST_WAIT)]), new Promise((go) => setTimeout(go, LAST_WAIT))]);
  return fetchPage(url);
}

/** The article of another photo with its picture decoded; null where the address shows something else. */
async function fetchPage(url) {
  const response = await send("GET", url);
  if (response.redirected) return null;
  const drawn = new DOMParser().parseFromString(await response.text(), "text/html");
  const page = drawn.querySelector("[data-review]");
  if (!page) return null;
  page.dataset.title = drawn.title;
  localise(page);
  document.adoptNode(page); // its picture begins to load
  await page.querySelector("[data-photo]").decode().catch(() => {});
  return page;
}

async function leave(url) {
  await empty(LAST_WAIT);
  if (!hasRefused(article.dataset.collection)) return location.assign(url);
  say("The server refused a decision. Look at it first.");
  document.querySelector("[data-refused] button")?.focus();
}

async function goBack() {
  const before = trail.before();
  const url = before?.url ?? article.dataset.previousUrl;
  if (!url) return;
  try {
    await goTo(url);
  } catch (problem) {
    if (problem.status !== 404 || !before) throw problem;
    trail.remove(before.id); // it was deleted
    await goBack();
  }
}

function report(error) {
  problem.textContent = error.message;
  problem.hidden = false;
}

export function attempt(action) {
  problem.hidden = true;
  return Promise.resolve().then(action).catch(report);
}

function isTouched() {
  return matchMedia("(hover: none)").matches && !document.activeElement?.closest("form.caption");
}

function isNarrow() {
  return matchMedia("(max-width: 56rem)").matches;
}

const back = () => { attempt(goBack); };
const onward = () => { attempt(advance); };
onKey("back", back);
onKey("previous", back);
onKey("onward", onward);
onKey("next", onward);
onKey("skip", onward);
onKey("search", () => article.querySelector("[data-search]").focus());
onKey("unreviewed", () => {
  attempt(async () => {
    const { item, unreviewedUrl } = article.dataset;
    const url = await askQueue(unreviewedUrl, item, [Number(item)]);
    if (url) await goTo(url);
    else say("Nothing waits for review.");
  });
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-review] .steps a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (link.rel === "prev") back();
  else onward();
});
document.addEventListener("recaption:changed", () => { attempt(refresh); });
window.addEventListener("popstate", () => { attempt(() => goTo(location.href, { push: false })); });

arriveOnTrail();
onShown(() => { problem.hidden = true; });
ahead = prepare();
