// Lays attention over the photo: dark where the network did not look, warm where it looked most.

const DARK = [9, 13, 28, 175]; // red, green, blue and opacity, 0..255
const WARM = [255, 190, 60, 40];
let canvas;
let drawn; // { img, grid, side, framing }
const resized = new ResizeObserver(() => draw());

/** Draw a grid of `side` x `side` bytes over the part of the photo that the framing showed to the network. */
export function showAttention(img, grid, side, framing) {
  if (canvas?.previousElementSibling !== img) place(img);
  drawn = { img, grid, side, framing };
  canvas.hidden = false;
  draw();
}

export function hideAttention() {
  drawn = undefined;
  if (canvas) canvas.hidden = true;
}

export function isAttentionShown() {
  return Boolean(drawn && canvas.isConnected);
}

function place(img) {
  canvas?.remove();
  canvas = document.createElement("canvas");
  canvas.className = "attention";
  canvas.setAttribute("aria-hidden", "true");
  img.after(canvas);
  img.parentElement.classList.add("looked-into");
  resized.disconnect();
  resized.observe(img);
}

function draw() {
  if (!isAttentionShown()) return;
  const { img, grid, side, framing } = drawn;
  const scale = Math.min(img.clientWidth / img.naturalWidth, img.clientHeight / img.naturalHeight);
  if (!Number.isFinite(scale) || !scale) return; // the photo is still on its way
  const [width, height] = [img.naturalWidth * scale, img.naturalHeight * scale];
  const sharp = Math.min(devicePixelRatio, 2048 / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * sharp));
  canvas.height = Math.max(1, Math.round(height * sharp));
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.style.left = `${img.offsetLeft + (img.clientWidth - width) / 2}px`;
  canvas.style.top = `${img.offsetTop + (img.clientHeight - height) / 2}px`;
  const context = canvas.getContext("2d");
  const [x, y, w, h] = seen(framing, canvas.width, canvas.height);
  context.fillStyle = `rgba(${DARK.slice(0, 3)}, ${DARK[3] / 255})`;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.clearRect(x, y, w, h);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(colours(grid, side), x, y, w, h);
}

/** The part of a photo that the network saw, as `model.transforms` frames it: left, top, width, height. */
function seen(framing, width, height) {
  if (framing === "squash") return [0, 0, width, height];
  const side = framing === "pad" ? Math.max(width, height) : Math.min(width, height);
  return [(width - side) / 2, (height - side) / 2, side, side];
}

function colours(grid, side) {
  const small = Object.assign(document.createElement("canvas"), { width: side, height: side });
  const context = small.getContext("2d");
  const pixels = context.createImageData(side, side);
  grid.forEach((value, cell) => {
    const share = value / 255;
    pixels.data.set(DARK.map((dark, part) => dark + (WARM[part] - dark) * share), 4 * cell);
  });
  context.putImageData(pixels, 0, 0);
  return small;
}
