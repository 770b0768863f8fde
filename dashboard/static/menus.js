// A menu closes when the focus or a click goes elsewhere, and with Escape.
const closeOthers = (target) => document.querySelectorAll("details.menu[open]").forEach((menu) => { if (!menu.contains(target)) menu.open = false; });
document.addEventListener("click", (event) => closeOthers(event.target));
document.addEventListener("focusin", (event) => closeOthers(event.target));
document.addEventListener("keydown", (event) => { if (event.key === "Escape") closeOthers(null); });
