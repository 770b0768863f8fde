"""CSV for spreadsheets: a row a caption, and one for each item that has none."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, TextIO

from catalog.exports.frozen import File, FrozenDataset, Photo
from catalog.exports.rows import ExportedCaption, ExportedItem
from catalog.manifests import FrozenCaption
from catalog.schema import CaptionState

COLUMNS = ("path", "external_id", "sha256", "item_state", "caption", "state", "origin", "language", "kind")
DATASET_COLUMNS = (
    *COLUMNS,
    "model",
    "version",
    "item_path",
    "split",
    "file_sha256",
    "width",
    "height",
    "rights",
)
# A spreadsheet takes a cell that begins with one of these for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write(items: Iterator[ExportedItem], stream: TextIO) -> None:
    table = csv.writer(stream)
    table.writerow(COLUMNS)
    for item in items:
        for caption in item.captions or (None,):
            table.writerow([guarded(cell) for cell in _cells(item, caption)])


def files(dataset: FrozenDataset) -> Iterator[File]:
    """`captions.csv` of a frozen dataset, and the pictures in the folders of their items beside it."""
    yield from dataset.picture_files("", captioned=False)
    yield File("captions.csv", _table(dataset))


def guarded(cell: str) -> str:
    """The cell with a `'` in front when a spreadsheet would run it; `unguarded` takes that off again."""
    return f"'{cell}" if _looks_guarded(cell) else cell


def unguarded(cell: str) -> str:
    """The cell as it was before `guarded`."""
    return cell[1:] if cell.startswith("'") and _looks_guarded(cell) else cell


def _looks_guarded(cell: str) -> bool:
    # A text that begins with a ' of its own gets another one, or it would lose it.
    return cell.lstrip("'").startswith(FORMULA_STARTS)


def _table(dataset: FrozenDataset) -> Iterator[bytes]:
    yield _line(DATASET_COLUMNS)
    for photo in dataset.photos():
        for caption in photo.item.captions or (None,):
            found = _of_photo(photo) | (_of_caption(caption) if caption else {})
            yield _line(found.get(column) for column in DATASET_COLUMNS)


def _of_photo(photo: Photo) -> dict[str, Any]:
    return {**photo.described(), "path": photo.path, "item_state": CaptionState.ACCEPTED}


def _of_caption(caption: FrozenCaption) -> dict[str, Any]:
    # Version 0 stands for none.
    known = {**asdict(caption), "version": caption.version or None}
    return {**known, "caption": caption.text, "state": CaptionState.ACCEPTED}


def _line(cells: Iterable[Any]) -> bytes:
    line = io.StringIO(newline="")
    csv.writer(line).writerow([guarded("" if cell is None else str(cell)) for cell in cells])
    return line.getvalue().encode()


def _cells(item: ExportedItem, caption: ExportedCaption | None) -> list[str]:
    cells = [item.path, item.external_id or "", item.sha256, item.state]
    if caption is None:
        return cells + [""] * (len(COLUMNS) - len(cells))
    return [*cells, caption.text, caption.state, caption.origin, caption.language, caption.kind]
