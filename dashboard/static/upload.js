// Uploads photos and folders in small batches, with one progress bar and a list of what was left out.

import { send } from "./api.js";

const BATCH_FILES = 16;
const BATCH_BYTES = 32 * 2 ** 20;

const adder = document.querySelector("[data-upload]");
const chooser = adder.querySelector("[data-files]");
const panel = document.querySelector("[data-upload-progress]");
const bar = panel.querySelector("progress");
const status = panel.querySelector("[role=status]");
const report = document.querySelector("[data-upload-report]");
let busy = false;

chooser.addEventListener("change", uploadChosen);
uploadChosen(); // a quick hand chooses before this module runs
adder.addEventListener("dragover", (event) => { event.preventDefault(); adder.classList.add("over"); });
adder.addEventListener("dragleave", () => adder.classList.remove("over"));
adder.addEventListener("drop", async (event) => {
  event.preventDefault();
  adder.classList.remove("over");
  upload(await dropped(event.dataTransfer));
});
window.addEventListener("dragenter", () => { adder.closest("details").open = true; });
window.addEventListener("beforeunload", (event) => { if (busy) event.preventDefault(); });

function uploadChosen() {
  upload([...chooser.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
  chooser.value = "";
}

async function upload(files) {
  if (busy || !files.length) return;
  busy = true;
  adder.toggleAttribute("inert", true);
  const fitting = files.filter(({ file }) => file.size <= BATCH_BYTES);
  files.filter(({ file }) => file.size > BATCH_BYTES).forEach(({ path }) => leaveOut(path, "larger than 32 MiB"));
  const total = fitting.reduce((sum, { file }) => sum + file.size, 0) || 1;
  let sent = 0, stored = 0, done = 0, told = files.length - fitting.length;
  panel.hidden = false;
  const tell = () => {
    bar.value = sent / total;
    status.textContent = `${done.toLocaleString()} of ${files.length.toLocaleString()} files uploaded`;
  };
  done = files.length - fitting.length;
  tell();
  for (const batch of batches(fitting)) {
    const reports = await sendBatch(batch);
    stored += reports.filter((file) => file.stored).length;
    told += reports.length;
    sent += batch.reduce((sum, { file }) => sum + file.size, 0);
    done += batch.length;
    tell();
  }
  busy = false;
  adder.toggleAttribute("inert", false);
  finish(stored, told);
}

function* batches(files) {
  let batch = [], bytes = 0;
  for (const entry of files) {
    if (batch.length === BATCH_FILES || (batch.length && bytes + entry.file.size > BATCH_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(entry);
    bytes += entry.file.size;
  }
  if (batch.length) yield batch;
}

/** Send one batch; returns a report of each of its files, and of each file that a zip of it held. */
async function sendBatch(batch) {
  const body = new FormData();
  batch.forEach(({ file, path }) => body.append("files", file, path));
  try {
    const response = await send("POST", adder.dataset.upload, { body });
    const { files } = await response.json();
    files.filter((file) => !file.stored).forEach((file) => leaveOut(file.path, file.detail || file.status));
    return files;
  } catch (problem) {
    batch.forEach(({ path }) => leaveOut(path, problem.message));
    return batch.map(() => ({ stored: false }));
  }
}

function leaveOut(path, reason) {
  const row = report.querySelector("tbody").insertRow();
  row.insertCell().textContent = path;
  row.insertCell().textContent = reason;
  report.hidden = false;
}

function finish(stored, total) {
  status.textContent = `${stored.toLocaleString()} of ${total.toLocaleString()} files are in the collection. `;
  if (!stored) return;
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
