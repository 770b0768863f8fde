// Assigns the photo that is shown to somebody.

import { Problem, send } from "./api.js";

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-assign]");
  if (!form) return;
  event.preventDefault();
  const field = form.querySelector("input");
  const said = form.querySelector("[data-said]");
  const typed = field.value.trim();
  try {
    const { name } = await (await send("PUT", form.dataset.assign, { json: { name: typed || null } })).json();
    field.value = field.dataset.before = name ?? "";
    said.textContent = name ? `It is ${name}’s now.` : "It is nobody’s now.";
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    said.textContent = problem.message;
  }
});

document.addEventListener("keydown", (event) => {
  const field = event.target.closest("[data-assign] input");
  if (field && event.key === "Escape") field.value = field.dataset.before;
});
