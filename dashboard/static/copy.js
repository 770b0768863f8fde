// Buttons with data-copy put what stands in the element of that id on the clipboard.

for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const element = document.getElementById(button.dataset.copy);
  const status = button.closest("section, details").querySelector("[data-copied]");
  if (element.select) element.select();
  else getSelection().selectAllChildren(element);
  try {
    await navigator.clipboard.writeText(element.value ?? element.textContent);
    status.textContent = "Copied.";
  } catch {
    // Without HTTPS, browsers keep the clipboard from pages. The text is selected.
    status.textContent = "This browser does not let the page copy; press Ctrl+C or Cmd+C.";
  }
});
