// The filter of a collection: fields that say nothing stay out of the address, and wide windows show them all.

for (const form of document.querySelectorAll("form[data-filter]")) {
  form.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) if (!value.trim() || (name === "order" && value === "import")) formData.delete(name);
  });
}

const facets = document.querySelector("[data-facets]");
if (facets && matchMedia("(min-width: 64rem)").matches) facets.open = true;
