"""What people look at while a network learns: a line of JSON an epoch, curves and samples in TensorBoard."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model.errors import TrainingError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG_FILE = "log.jsonl"
TENSORBOARD_FOLDER = "tensorboard"

COLUMNS = 6
TILE = 200
GAP = 10
LINE = 26
FONT_SIZE = 17
INK, PAPER = (20, 20, 20), (255, 255, 255)
UNSEEN = 0.3


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """A photo (H, W, 3) uint8, the words of its caption, and what people wrote.

    `attention` (T, rows, cols) is where the decoder looked for each word, None where it does not look.
    """

    pixels: np.ndarray
    words: Sequence[str]
    references: Sequence[str]
    attention: np.ndarray | None = None


class TrainingLog:
    """Writes `log.jsonl` and, unless switched off, TensorBoard's files, all in one folder.

    Epochs and steps count from 1. A resumed run names those it goes on after: lines of later epochs are cut
    from `log.jsonl`, and TensorBoard hides later steps. A run from the start does so with all of one before
    it. Every method raises TrainingError where a file cannot be written.
    """

    def __init__(
        self, folder: Path, *, tensorboard: bool = True, after_epoch: int = 0, after_step: int = 0
    ) -> None:
        self._folder = folder
        self._path = folder / LOG_FILE
        self._step = after_step
        self._writer: SummaryWriter | None = None
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            self._cut(after_epoch)
            if tensorboard:
                # Samples may have been shown before the first step, as those of step 0.
                purge_step = after_step + 1 if after_step else 0
                self._writer = require_tensorboard()(str(folder / TENSORBOARD_FOLDER), purge_step=purge_step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._writer:
            with self._writing():
                self._writer.close()

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Log an epoch, which ended with the last step; `row` names its "epoch".

        Numbers are curves: those of a table in the row, such as "scores", under its name.
        """
        with self._writing():
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            if self._writer:
                for tag, value in _curves(row):
                    self._writer.add_scalar(tag, value, self._step)
                self._writer.flush()

    def step(self, step: int, loss: float, learning_rate: float) -> None:
        """Log a batch."""
        self._step = step
        if self._writer:
            with self._writing():
                self._writer.add_scalar("step/loss", loss, step)
                self._writer.add_scalar("step/learning_rate", learning_rate, step)

    def samples(self, step: int, samples: Sequence[Sample]) -> None:
        """Show captions of a few photos, the same ones each time, as text and as pictures."""
        if self._writer:
            with self._writing():
                for number, sample in enumerate(samples, start=1):
                    tag = f"samples/{number}"
                    self._writer.add_text(tag, _as_text(sample), step)
                    self._writer.add_image(tag, draw_sample(sample), step, dataformats="HWC")

    def _cut(self, after_epoch: int) -> None:
        lines = self._path.read_bytes().splitlines(keepends=True) if self._path.is_file() else []
        partial = self._path.with_suffix(".partial")
        partial.write_bytes(b"".join(line for line in lines if 0 < _epoch_of(line) <= after_epoch))
        partial.replace(self._path)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrainingError(
                f'cannot write the training log in "{self._folder}": {error.strerror}; '
                "make room there, or train into another folder"
            ) from error


def require_tensorboard() -> type["SummaryWriter"]:
    """TensorBoard's writer; raises TrainingError where that package is missing."""
    # Imported here: it takes a second, and machines that only caption may lack it.
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise TrainingError(
            f"TensorBoard cannot be imported ({error}); "
            "install the package tensorboard, or train with training.tensorboard=false"
        ) from error
    return SummaryWriter


def _epoch_of(line: bytes) -> int:
    """The epoch of a line, 0 for one that a killed run left half-written."""
    try:
        return int(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError):
        return 0


def _curves(row: Mapping[str, Any], group: str = "epoch") -> Iterator[tuple[str, float]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _curves(value, name)
        elif isinstance(value, int | float) and name != "epoch":
            yield f"{group}/{name}", value


def _as_text(sample: Sample) -> str:
    lines = [f"caption: {' '.join(sample.words)}", *(f"people:  {text}" for text in sample.references)]
    # TensorBoard reads Markdown; lines set in by four spaces stay as they are.
    return "\n".join(f"    {line}" for line in lines)


def draw_sample(sample: Sample) -> np.ndarray:
    """One picture (H, W, 3) uint8: caption, photo, and a word at a time the photo where it was looked at.

    After figure 2 of Xu et al., "Show, Attend and Tell", 2015, but with what was not looked at in dim grey.
    """
    photo = _fitted(sample.pixels)
    tiles = [("", photo)]
    if sample.attention is not None:
        maps = sample.attention
        tiles += [(word, _attended(photo, map_)) for word, map_ in zip(sample.words, maps, strict=True)]
    columns = min(COLUMNS, len(tiles))
    width = columns * (TILE + GAP) + GAP
    font = ImageFont.load_default(FONT_SIZE)
    heading = _wrapped(sample.words, font, width - 2 * GAP)
    top, height = GAP + len(heading) * LINE, LINE + photo.height + GAP
    canvas = Image.new("RGB", (width, top + math.ceil(len(tiles) / columns) * height), PAPER)
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(heading):
        draw.text((GAP, GAP + number * LINE), line, INK, font)
    for number, (word, picture) in enumerate(tiles):
        left, above = GAP + number % columns * (TILE + GAP), top + number // columns * height
        draw.text((left, above + LINE - 5), _shortened(word, font), INK, font, anchor="ls")
        canvas.paste(picture, (left, above + LINE))
    return np.asarray(canvas)


def _fitted(pixels: np.ndarray) -> Image.Image:
    height, width = pixels.shape[:2]
    size = (TILE, max(1, round(TILE * height / width)))
    return Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)


def _attended(photo: Image.Image, map_: np.ndarray) -> Image.Image:
    # Over its own maximum: how a word spreads its attention, not how much there is for a region of many.
    weights = (map_ / max(map_.max(), np.finfo(np.float32).tiny)).astype(np.float32)
    mask = np.asarray(Image.fromarray(weights).resize(photo.size, Image.Resampling.BICUBIC))
    opaque = Image.fromarray((mask.clip(0, 1) * 255).astype(np.uint8))
    dim = Image.eval(photo.convert("L"), lambda value: round(value * UNSEEN)).convert("RGB")
    return Image.composite(photo, dim, opaque)


def _wrapped(words: Sequence[str], font: Any, width: int) -> list[str]:
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _shortened(word: str, font: Any) -> str:
    length = len(word)
    while font.getlength(word) > TILE:
        length -= 1
        word = f"{word[:length]}…"
    return word
