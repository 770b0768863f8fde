// Keeping and skipping without loading the page again; without this module the forms do the same.

import { send, show } from "./api.js";

const problem = document.querySelector("[data-problem]");
const status = document.querySelector("[data-status]");

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-keep], [data-skip]")) return;
  event.preventDefault();
  problem.hidden = true;
  form.inert = true;
  try {
    await (form.dataset.keep ? keep(form) : skip(form));
  } catch (error) {
    form.inert = false;
    show(problem, error);
    problem.scrollIntoView({ block: "center" });
  }
});

async function keep(form) {
  const ids = new FormData(form).getAll("item").map(Number);
  await send("POST", form.dataset.keep, { json: { item_ids: ids } });
  if ("more" in form.dataset) return location.reload();
  status.textContent = `${ids.length} photos are kept`;
  leave(form.closest("[data-group]"));
}

async function skip(form) {
  const confirmed = new FormData(form).has("confirmed");
  await send("POST", form.dataset.skip, { json: { item_id: Number(form.dataset.item), confirmed } });
  status.textContent = `${form.dataset.path} is skipped`;
  const group = form.closest("[data-group]");
  group.querySelector(`input[name=item][value="${form.dataset.item}"]`).remove();
  const more = group.querySelector("[data-more]");
  if (!more && group.querySelectorAll("[data-twin]").length <= 2) leave(group);
  else leave(form.closest("[data-twin]"));
  tellAlone(group);
}

// A photo whose only twin of the same bytes has gone is no longer the same file as another.
function tellAlone(group) {
  const marks = [...group.querySelectorAll("[data-same]")];
  for (const mark of marks) {
    if (marks.filter((other) => other.dataset.same === mark.dataset.same).length === 1) mark.remove();
  }
}

function countDown() {
  const words = document.querySelector("[data-total]");
  const total = (words.dataset.total -= 1);
  words.textContent = `${total.toLocaleString("en")} ${total === 1 ? "group" : "groups"} of photos that look alike.`;
}

// Takes something away, and the focus to what comes in its place.
function leave(element) {
  const next = element.nextElementSibling ?? element.previousElementSibling;
  element.remove();
  if (element.matches("[data-group]")) countDown();
  if (!document.querySelector("[data-group]")) return location.reload();
  const target = next?.matches("[data-group], [data-twin]") ? next : document.querySelector("[data-group]");
  target.querySelector("button").focus();
}
