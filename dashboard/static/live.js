// Keeps the part of a page that is marked data-live as the server would draw it now, and sends its forms
// without leaving the page. Where nothing differs nothing is touched: focus, open details and the place of
// the page stay. Without this module the forms do the same, and the page is as old as it is.

import { send, show } from "./api.js";
import { poll } from "./poll.js";
import { localise } from "./times.js";

const page = document.querySelector("[data-live]");
const problem = document.querySelector("[data-problem]");
const KEPT = new Set(["open"]); // attributes that are people's own

poll(page.dataset.live.split(" "), redraw, () => Number(page.dataset.period));

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-live] form[data-act]")) return;
  event.preventDefault();
  if (form.dataset.sent) return;
  form.dataset.sent = "once";
  problem.hidden = true;
  try {
    const response = await send("POST", form.action, { body: new FormData(form) });
    form.closest("dialog")?.close();
    if (response.url === location.href.split("#")[0]) draw(await response.text());
    else await redraw(); // the answer is the first page of what is drawn here in pages
  } catch (error) {
    form.closest("dialog")?.close();
    show(problem, error);
  }
  delete form.dataset.sent;
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-live] [data-confirm]");
  if (!opener) return;
  event.preventDefault();
  document.getElementById(opener.dataset.confirm).showModal();
});

async function redraw() {
  const response = await fetch(location.href);
  if (!response.ok) throw new Error(`the server answers ${response.status} for now`);
  draw(await response.text());
}

function draw(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const twin = fresh.querySelector("[data-live]");
  if (!twin) return;
  localise(fresh);
  const focused = document.activeElement;
  become(page, twin);
  // A button that has done its work may be gone; the focus goes to what can be done now.
  if (!focused?.isConnected) (page.querySelector("[data-actions] :is(button, a), [data-finished] a") ?? page.querySelector("h1"))?.focus();
}

/** Make an element what its twin is, by as few changes as possible. Elements with an id find each other by it. */
function become(element, twin) {
  copyAttributes(element, twin);
  const known = new Map([...element.children].filter((child) => child.id).map((child) => [child.id, child]));
  const wanted = new Set([...twin.children].map((child) => child.id));
  let next = element.firstChild;
  const skipGone = () => {
    while (next?.id && !wanted.has(next.id)) {
      const gone = next;
      next = next.nextSibling;
      gone.remove();
    }
  };
  for (const child of [...twin.childNodes]) {
    skipGone();
    const same = child.id ? known.get(child.id) : isAlike(next, child) ? next : null;
    if (!same) {
      element.insertBefore(document.importNode(child, true), next);
      continue;
    }
    if (same === next) next = next.nextSibling;
    else element.insertBefore(same, next);
    if (same.nodeType === Node.ELEMENT_NODE) become(same, child);
    else if (same.data !== child.data) same.data = child.data;
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

function isAlike(node, twin) {
  return node && !node.id && node.nodeName === twin.nodeName;
}

function copyAttributes(element, twin) {
  for (const { name } of [...element.attributes]) {
    if (!KEPT.has(name) && !twin.hasAttribute(name)) element.removeAttribute(name);
  }
  for (const { name, value } of twin.attributes) {
    if (!KEPT.has(name) && element.getAttribute(name) !== value) element.setAttribute(name, value);
  }
}
