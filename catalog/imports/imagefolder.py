"""Hugging Face's imagefolder: `metadata.jsonl` or `metadata.csv` with `file_name` and a column of text."""

from pathlib import Path
from typing import Any

from catalog.imports.csv import table_rows
from catalog.imports.rows import GivenItem, Rows, caption, given_items, json_lines, metadata, photo_path

FILES = ("metadata.jsonl", "metadata.csv")
PHOTO_COLUMNS = ("file_name",)
# The columns in which data sets on the Hub keep their captions; the first that is there is taken.
TEXT_COLUMNS = ("text", "caption", "captions", "prompt", "description")


def read(file: Path, *, captioned_by: str | None = None) -> Rows:
    """A row a photo; its text may be a list of several. Other columns are kept as metadata."""
    rows = json_lines(file) if file.suffix == ".jsonl" else table_rows(file, PHOTO_COLUMNS)
    return given_items(rows, lambda place, row: _item(place, row, captioned_by))


def _item(place: str, row: dict[str, Any], captioned_by: str | None) -> GivenItem:
    column = next((name for name in TEXT_COLUMNS if row.get(name)), None)
    texts = [] if column is None else row[column]
    texts = texts if isinstance(texts, list) else [texts]
    return GivenItem(
        place=place,
        path=photo_path(row.get("file_name")),
        captions=tuple(caption(text, captioned_by=captioned_by) for text in texts),
        metadata=metadata({name: value for name, value in row.items() if name not in ("file_name", column)}),
    )
