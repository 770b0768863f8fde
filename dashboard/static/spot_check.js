// Keys of a spot check; without this module its buttons do the same.

const spot = document.querySelector("[data-spot]");
if (spot?.dataset.nextPicture) new Image().src = spot.dataset.nextPicture;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.isComposing) return;
  const keys = [...document.querySelectorAll("[data-key]")];
  const meant = keys.find((one) => one.dataset.key.split(" ").includes(event.key.length === 1 ? event.key.toLowerCase() : event.key));
  if (!meant) return;
  event.preventDefault();
  meant.click();
});

// A verdict that was sent goes once, however often the key is pressed.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "once";
});
addEventListener("pageshow", () => document.querySelectorAll("form").forEach((form) => delete form.dataset.sent));
