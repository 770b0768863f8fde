// "Load more" appends the next page's tiles; without this module it is a plain link.

document.addEventListener("click", async (event) => {
  const link = event.target.closest("#more");
  if (!link) return;
  event.preventDefault();
  link.classList.add("disabled");
  const response = await fetch(link.href).catch(() => null);
  if (!response?.ok) return location.assign(link.href);
  const next = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = [...(next.getElementById("tiles")?.children ?? [])];
  document.getElementById("tiles").append(...fresh);
  link.parentElement.replaceChildren(...(next.getElementById("more")?.parentElement.children ?? []));
  fresh[0]?.querySelector("a").focus();
});

// A menu closes when the focus or a click goes elsewhere, and with Escape.
const menus = document.querySelectorAll("details.menu");
const closeOthers = (target) => menus.forEach((menu) => { if (!menu.contains(target)) menu.open = false; });
document.addEventListener("click", (event) => closeOthers(event.target));
document.addEventListener("focusin", (event) => closeOthers(event.target));
document.addEventListener("keydown", (event) => { if (event.key === "Escape") closeOthers(null); });
