// Previews and starts bulk operations without leaving the page; without this module the form does the same.

import { send, show } from "./api.js";

const form = document.querySelector("[data-bulk]");
const problem = form.querySelector("[data-problem]");
const preview = document.querySelector("[data-preview]");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (form.dataset.sent) return;
  form.dataset.sent = "once";
  problem.hidden = true;
  const body = new FormData(form, event.submitter);
  try {
    if (event.submitter?.formMethod === "post") location.assign((await send("POST", event.submitter.formAction, { body })).url);
    else await look(body);
  } catch (error) {
    show(problem, error);
    problem.scrollIntoView({ block: "center" });
  }
  delete form.dataset.sent;
});

// What was previewed is no longer what would be started.
form.addEventListener("input", () => preview.replaceChildren());

async function look(body) {
  preview.textContent = "Looking…";
  body.delete("csrf_token");
  body.set("preview", "y");
  try {
    const answer = await send("GET", `${form.getAttribute("action")}?${new URLSearchParams(body)}`);
    const drawn = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-preview]");
    preview.replaceChildren(...drawn.childNodes);
    preview.querySelector("h2")?.focus();
  } catch (error) {
    preview.replaceChildren();
    throw error;
  }
}
