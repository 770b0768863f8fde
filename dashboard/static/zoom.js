// The photo at 100 %: one of its pixels on one of the screen's, moved by dragging or by the arrow keys.

import { onKey } from "./keys.js";
import { onShown } from "./shown.js";

const STEP = 80; // pixels
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
let frame;

onShown((article) => {
  frame = article.querySelector("[data-zoom]");
  article.querySelector("[data-zoom-button]").addEventListener("click", toggle);
  frame.addEventListener("keydown", (event) => {
    const [x, y] = ARROWS[event.key] ?? [];
    if (x === undefined || !isZoomed()) return;
    event.preventDefault();
    frame.scrollBy(x, y);
  });
  frame.addEventListener("pointerdown", startDragging);
});

onKey("zoom", () => { toggle(); });
onKey("leave", () => (isZoomed() && frame.contains(document.activeElement) ? toggle() : false));

function isZoomed() {
  return frame.classList.contains("zoomed");
}

function toggle() {
  const zoomed = frame.classList.toggle("zoomed");
  frame.closest("article").querySelector("[data-zoom-button]").setAttribute("aria-pressed", zoomed);
  frame.tabIndex = zoomed ? 0 : -1;
  if (!zoomed) return;
  frame.scrollTo((frame.scrollWidth - frame.clientWidth) / 2, (frame.scrollHeight - frame.clientHeight) / 2);
  frame.focus({ preventScroll: true });
}

function startDragging(event) {
  if (!isZoomed() || event.pointerType === "touch" || event.button !== 0) return; // fingers scroll by themselves
  event.preventDefault();
  frame.focus({ preventScroll: true });
  const from = { x: event.clientX + frame.scrollLeft, y: event.clientY + frame.scrollTop };
  const drag = (moved) => frame.scrollTo(from.x - moved.clientX, from.y - moved.clientY);
  frame.setPointerCapture(event.pointerId);
  frame.addEventListener("pointermove", drag);
  frame.addEventListener("pointerup", () => frame.removeEventListener("pointermove", drag), { once: true });
}
