"""The layout of Flickr8k: `Images/`, `captions.txt` with a row a caption, and a list of names a split."""

import csv
import io
from collections.abc import Iterable, Iterator

from catalog.exports.frozen import File, FrozenDataset, encoded
from catalog.exports.karpathy import SPLITS

HEADER = ("image", "caption")


def files(dataset: FrozenDataset) -> Iterator[File]:
    """A row a caption. A caption of several lines is quoted, as CSV has it."""
    yield from dataset.picture_files("Images/")
    rows = ((photo.name, caption.text) for photo in dataset.captioned() for caption in photo.captions)
    yield File("captions.txt", encoded(_table(rows)))
    for split in dataset.splits():
        names = (f"{photo.name}\n" for photo in dataset.captioned(split))
        yield File(f"{SPLITS[split]}.txt", encoded(names))


def _table(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield _line(HEADER)
    yield from map(_line, rows)


def _line(cells: tuple[str, str]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
