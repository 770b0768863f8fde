// Keeps the list of what keeps jobs from going on up to date.

import { poll } from "./poll.js";

const PERIOD = 5000; // milliseconds
const list = document.querySelector("[data-troubles]");

poll([list.dataset.troubles], draw, () => PERIOD);

async function draw([response]) {
  const { troubles } = await response.json();
  list.hidden = troubles.length === 0;
  list.replaceChildren(...troubles.map(entry));
}

function entry({ what, remedy }) {
  const item = document.createElement("li");
  const strong = document.createElement("strong");
  strong.textContent = what;
  item.append(strong, ` ${remedy}`);
  return item;
}
