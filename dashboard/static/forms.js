// Forms with data-form stay on their page when the server refuses them, with the reason beside the fields.

import { send, show } from "./api.js";

for (const form of document.querySelectorAll("form[data-form]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const problem = form.querySelector("[data-problem]");
    problem.hidden = true;
    try {
      const response = await send("POST", form.action, { body: new FormData(form) });
      location.assign(response.url);
    } catch (error) {
      show(problem, error);
    }
  });
}
