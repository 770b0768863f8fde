// Uploads photos, folders and zips by the tus protocol: each file goes on where it stopped, all under one bar.

import { send } from "./api.js";

const PIECE = 8 * 2 ** 20; // bytes; no more is sent again after a break
const LANES = 4; // files on their way at a time
const PATIENCE = 30 * 60; // seconds to wait for a server that is away or full
const FULL = new Set([503, 507]);
const FAILURES = 5; // of one piece, while the server answers
const PERIOD = 1; // seconds between two looks at the import
const FORSAKEN = 15; // seconds without a look, behind which another tab may go on with an import
const ENDED = new Set(["done", "failed", "cancelled"]);
// Files that may hold captions: with one of these, nothing is imported before everything is there.
const TEXTS = /\.(csv|json|jsonl|txt|xmp)$/i;
const TUS = { "Tus-Resumable": "1.0.0" };

const adder = document.querySelector("[data-upload]");
const chooser = adder.querySelector("[data-files]");
const panel = document.querySelector("[data-upload-progress]");
const bar = panel.querySelector("progress");
const status = panel.querySelector("[role=status]");
const report = document.querySelector("[data-upload-report]");
const retry = report.querySelector("[data-retry]");
const everything = report.querySelector("[data-everything]");
const { collection, user, tus, imports } = adder.dataset;
const REMEMBERED = `import of ${user} into ${collection}`;
let busy = false;
let announced = Promise.resolve();
let current = null; // the import that the page speaks of

chooser.addEventListener("change", uploadChosen);
adder.addEventListener("dragover", (event) => { event.preventDefault(); adder.classList.add("over"); });
adder.addEventListener("dragleave", () => adder.classList.remove("over"));
adder.addEventListener("drop", async (event) => {
  event.preventDefault();
  adder.classList.remove("over");
  upload(await dropped(event.dataTransfer));
});
retry.addEventListener("click", tryAgain);
window.addEventListener("dragenter", () => { adder.closest("details").open = true; });
window.addEventListener("beforeunload", (event) => { if (busy) event.preventDefault(); });
window.addEventListener("pagehide", () => { if (busy) remember({ seen: 0 }); });

function uploadChosen() {
  upload([...chooser.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
  chooser.value = "";
}

/** Everything from the drop to the report. */
async function upload(files) {
  if (busy || !files.length) return;
  begin();
  const progress = new Progress(files);
  try {
    current = await importFor(files);
    const here = current.resumed ? await uploadsOf(current.id) : new Map();
    const watching = watch(current.id, progress);
    watching.catch(() => {}); // it is awaited below
    await inLanes(files, (entry) => uploadFile(entry, here.get(entry.path), progress));
    await patiently(() => send("POST", `/api/v1/imports/${current.id}/close`), progress);
    localStorage.removeItem(REMEMBERED);
    await finish(await watching);
  } catch (problem) {
    progress.say(problem.message);
  }
  end();
}

/** Import again what failed, from the bytes that the server still has. */
async function tryAgain() {
  begin();
  const progress = new Progress([]);
  try {
    const response = await send("POST", `/api/v1/imports/${current.id}/retry`);
    progress.of(await response.json());
    await finish(await watch(current.id, progress));
  } catch (problem) {
    progress.say(problem.message);
    report.hidden = false;
  }
  end();
}

function begin() {
  busy = true;
  adder.toggleAttribute("inert", true);
  report.hidden = true;
  report.querySelector("tbody").replaceChildren();
  panel.hidden = false;
}

function end() {
  busy = false;
  adder.toggleAttribute("inert", false);
}

/** The import of the same files that a closed tab left unfinished, or a new one. */
async function importFor(files) {
  const together = files.some(({ path }) => TEXTS.test(path));
  const drop = fingerprint(files);
  const left = remembered();
  if (left?.drop === drop && Date.now() - left.seen > 1000 * FORSAKEN) {
    const job = await send("GET", `/api/v1/jobs/${left.id}`).then((response) => response.json(), () => null);
    if (job?.job.state === "running") return { id: left.id, resumed: true };
  }
  const response = await send("POST", imports, { json: { files: files.length, together } });
  const { id } = await response.json();
  localStorage.setItem(REMEMBERED, JSON.stringify({ id, drop, seen: Date.now() }));
  return { id, resumed: false };
}

function remembered() {
  return JSON.parse(localStorage.getItem(REMEMBERED) ?? "null");
}

/** Note something of this tab's import; another tab may have begun one since. */
function remember(news) {
  const left = remembered();
  if (left && left.id === current?.id) localStorage.setItem(REMEMBERED, JSON.stringify({ ...left, ...news }));
}

/** A number that other files, or the same ones after a change, do not have (FNV-1a, 32 bits, and their count). */
function fingerprint(files) {
  let hash = 0x811c9dc5;
  for (const { file, path } of files) {
    for (const letter of `${path}\0${file.size}\0${file.lastModified}\0`) {
      hash = Math.imul(hash ^ letter.codePointAt(0), 0x01000193) >>> 0;
    }
  }
  return `${files.length} ${hash}`;
}

/** What is here of each file of an import, by its path; nothing of files that share theirs. */
async function uploadsOf(id) {
  const found = new Map();
  for (let after = 0; after !== null; ) {
    const response = await send("GET", `/api/v1/imports/${id}/uploads?after=${after}`);
    const page = await response.json();
    for (const one of page.uploads) {
      if (one.state !== "expired") found.set(one.path, found.has(one.path) ? null : one);
    }
    after = page.after;
  }
  return found;
}

async function inLanes(entries, work) {
  const waiting = entries.values(); // the lanes share it
  await Promise.all(Array.from({ length: LANES }, async () => { for (const entry of waiting) await work(entry); }));
}

/** Send a file from where it stopped; what goes wrong with it alone is listed, and the others go on. */
async function uploadFile({ file, path }, here, progress) {
  let sent = 0;
  let url = null;
  const arrived = (offset) => { progress.add(offset - sent); sent = offset; };
  try {
    const same = here?.length === file.size ? here : null;
    url = same ? `/api/v1/uploads/${same.key}` : await inOrder(() => patiently(() => announce(file, path), progress));
    arrived(same?.received ?? 0);
    while (sent < file.size) arrived(await sendPiece(url, file, sent, progress));
  } catch (problem) {
    leaveOut(path, problem.message);
    progress.add(file.size - sent);
    // The import would wait for the rest of it.
    if (url) await patiently(() => send("DELETE", url, { headers: TUS }), progress).catch(() => {});
  }
  progress.fileDone();
}

/** One announcement after the other: photos stand in the collection in the order of their announcement. */
function inOrder(action) {
  const result = announced.then(action);
  announced = result.catch(() => {});
  return result;
}

async function announce(file, path) {
  const told = Object.entries({ path, import: String(current.id) }).map(([name, value]) => `${name} ${base64(value)}`);
  const headers = { ...TUS, "Upload-Length": file.size, "Upload-Metadata": told.join(",") };
  return (await send("POST", tus, { headers })).headers.get("Location");
}

/** Send the piece at an offset; resolves to how much of the file is there afterwards. */
async function sendPiece(url, file, offset, progress) {
  const sendAt = async (at) => {
    const headers = { ...TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": at };
    const response = await send("PATCH", url, { body: file.slice(at, at + PIECE), headers });
    return Number(response.headers.get("Upload-Offset"));
  };
  const reached = async () => {
    const response = await send("HEAD", url, { headers: TUS });
    return Number(response.headers.get("Upload-Offset"));
  };
  for (let failures = 0, waited = 0, pause = 1; ; waited += pause, pause = Math.min(2 * pause, 10)) {
    try {
      return await sendAt(offset);
    } catch (problem) {
      if (!passes(problem) && problem.status !== 409) throw problem;
      if (FULL.has(problem.status) ? waited > PATIENCE : ++failures > FAILURES) throw problem;
      if (problem.status) progress.say(problem.message);
    }
    const there = await patiently(reached, progress);
    if (there > offset) return there;
    await seconds(pause);
  }
}

/** Try until the server is back, for as long as PATIENCE. */
async function patiently(action, progress) {
  for (let waited = 0, pause = 1; ; waited += pause, pause = Math.min(2 * pause, 10)) {
    try {
      return await action();
    } catch (problem) {
      if (!passes(problem) || waited > PATIENCE) throw problem;
      progress?.say(problem.status ? problem.message : "The server does not answer. The upload goes on as soon as it does.");
    }
    await seconds(pause);
  }
}

/** Whether a problem may pass by itself: no answer, too many requests, or the server's own trouble. */
function passes(problem) {
  return problem.status === 0 || problem.status === 429 || problem.status >= 500;
}

const seconds = (number) => new Promise((resolve) => setTimeout(resolve, 1000 * number));

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/** Follow an import until it has ended, or this page gives it up; resolves to its job. */
async function watch(id, progress) {
  while (busy) {
    await seconds(PERIOD);
    remember({ seen: Date.now() });
    const response = await send("GET", `/api/v1/jobs/${id}`).catch((problem) => {
      if (!passes(problem)) throw problem;
    });
    const job = response && (await response.json()).job;
    if (job) progress.of(job);
    if (job && ENDED.has(job.state)) return job;
  }
}

/** One bar for all: half of it is for files that are sent, half for files that are imported. */
class Progress {
  constructor(files) {
    this.files = files.length;
    this.bytes = files.reduce((sum, { file }) => sum + file.size, 0);
    this.sentBytes = this.sentFiles = this.imported = 0;
    this.share = 0;
    this.draw();
  }

  add(bytes) {
    this.sentBytes += bytes;
    this.draw();
  }

  fileDone() {
    this.sentFiles += 1;
    this.draw();
  }

  of(job) {
    this.imported = job.done + job.failed;
    this.share = job.total ? this.imported / job.total : 0;
    this.draw();
  }

  draw() {
    const sent = this.bytes ? this.sentBytes / this.bytes : 1;
    bar.value = this.files ? (sent + this.share) / 2 : this.share;
    const uploaded = `${this.sentFiles.toLocaleString()} of ${this.files.toLocaleString()} files uploaded, `;
    this.say(`${this.files ? uploaded : ""}${this.imported.toLocaleString()} imported`);
  }

  say(text) {
    status.textContent = text;
  }
}

function leaveOut(path, reason) {
  const row = report.querySelector("tbody").insertRow();
  row.insertCell().textContent = path;
  row.insertCell().textContent = reason;
  report.hidden = false;
}

async function finish(job) {
  status.textContent = `${job.done.toLocaleString()} of ${job.total.toLocaleString()} files are in the collection. `;
  everything.href = `/imports/${job.id}`;
  retry.hidden = !job.failed;
  if (job.failed) {
    const response = await send("GET", `/api/v1/imports/${job.id}/files?failed=true`);
    (await response.json()).files.forEach((file) => leaveOut(file.path, file.detail || file.status));
  }
  if (!job.done) return;
  if (report.hidden) return location.reload();
  const link = Object.assign(document.createElement("a"), { href: location.pathname, textContent: "Show the photos" });
  status.append(link);
}

/** Every file that was dropped, folders included, with its path. */
async function dropped(transfer) {
  // What is dropped can be read only before the first wait.
  const found = [...transfer.items].map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  const walked = found.map(({ entry, file }) => (entry ? walk(entry) : file ? [{ file, path: file.name }] : []));
  return (await Promise.all(walked)).flat();
}

async function walk(entry) {
  if (entry.name.startsWith(".")) return [];
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ file, path: entry.fullPath.slice(1) }];
  }
  const reader = entry.createReader();
  const children = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    children.push(...some);
  }
  return (await Promise.all(children.map((child) => walk(child)))).flat();
}

uploadChosen(); // a quick hand chooses before this module runs
