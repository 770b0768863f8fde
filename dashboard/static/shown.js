// The review page goes from photo to photo without loading anew: whoever works on one hears of each here.

const listeners = [];
let current = document.querySelector("[data-review]");

/** Call `listener` with the article of the photo that is shown, now and whenever another one is. */
export function onShown(listener) {
  listeners.push(listener);
  if (current) listener(current);
}

/** Tell everybody that this article is shown now. */
export function tellShown(article) {
  current = article;
  listeners.forEach((listener) => listener(article));
}
