// Keeps a job's page up to date while the job runs. Nothing changed is a 304 without a body.

import { send } from "./api.js";

const PERIOD = 1000; // milliseconds
const ENDED = new Set(["done", "failed", "cancelled"]);
const page = document.querySelector("[data-job-url]");
const part = (name) => page.querySelector(`[data-job=${name}]`);
let etag = "";

if (page.dataset.unfinished === "true") setTimeout(poll, PERIOD);

async function poll() {
  try {
    const response = await send("GET", page.dataset.jobUrl, { headers: etag ? { "If-None-Match": etag } : {} });
    if (response.status !== 304) {
      etag = response.headers.get("ETag") ?? "";
      const progress = await response.json();
      draw(progress);
      if (ENDED.has(progress.job.state)) return location.reload();
    }
  } catch {
    // The server is away for a moment; the next turn asks again.
  }
  setTimeout(poll, document.hidden ? 5 * PERIOD : PERIOD);
}

function draw({ job, workers, waiting_for_a_worker: waiting }) {
  part("state").textContent = job.state;
  for (const name of ["total", "done", "failed", "skipped"]) {
    if (part(name)) part(name).textContent = job[name].toLocaleString();
  }
  const bar = part("progress");
  bar.max = job.total || 1;
  bar.value = job.done + job.failed + job.skipped;
  page.querySelector("[data-waiting]")?.toggleAttribute("hidden", !waiting);
  const line = page.querySelector("[data-workers]");
  if (line && workers.length) {
    const names = workers.map((worker) => `${worker.name} on ${worker.device}`).join(", ");
    line.textContent = `Working: ${names}`;
  }
}
