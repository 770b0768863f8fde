// Keeps an import's page up to date while the import runs. Nothing changed is a 304 without a body.

import { poll } from "./poll.js";

const PERIOD = 1000; // milliseconds
const ENDED = new Set(["done", "failed", "cancelled"]);
const page = document.querySelector("[data-job-url]");
const part = (name) => page.querySelector(`[data-job=${name}]`);

if (page.dataset.unfinished === "true") poll([page.dataset.jobUrl], draw, () => PERIOD);

async function draw([response]) {
  const { job } = await response.json();
  part("state").textContent = job.state;
  for (const name of ["total", "done", "failed"]) part(name).textContent = job[name].toLocaleString();
  const bar = part("progress");
  bar.max = job.total || 1;
  bar.value = job.done + job.failed;
  if (ENDED.has(job.state)) location.reload();
}
