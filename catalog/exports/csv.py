"""CSV for spreadsheets: a row a caption, and one for each item that has none."""

import csv
from collections.abc import Iterator
from typing import TextIO

from catalog.exports.rows import ExportedCaption, ExportedItem

COLUMNS = ("path", "external_id", "sha256", "item_state", "caption", "state", "origin", "language", "kind")
# A spreadsheet takes a cell that begins with one of these for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write(items: Iterator[ExportedItem], stream: TextIO) -> None:
    table = csv.writer(stream)
    table.writerow(COLUMNS)
    for item in items:
        for caption in item.captions or (None,):
            table.writerow([guarded(cell) for cell in _cells(item, caption)])


def guarded(cell: str) -> str:
    """The cell with a `'` in front when a spreadsheet would run it; `unguarded` takes that off again."""
    return f"'{cell}" if _looks_guarded(cell) else cell


def unguarded(cell: str) -> str:
    """The cell as it was before `guarded`."""
    return cell[1:] if cell.startswith("'") and _looks_guarded(cell) else cell


def _looks_guarded(cell: str) -> bool:
    # A text that begins with a ' of its own gets another one, or it would lose it.
    return cell.lstrip("'").startswith(FORMULA_STARTS)


def _cells(item: ExportedItem, caption: ExportedCaption | None) -> list[str]:
    cells = [item.path, item.external_id or "", item.sha256, item.state]
    if caption is None:
        return cells + [""] * (len(COLUMNS) - len(cells))
    return [*cells, caption.text, caption.state, caption.origin, caption.language, caption.kind]
