"""CSV with a header: `path` and `caption`, a row a caption; the columns of our own export are all known."""

import csv
from collections.abc import Collection, Iterator
from pathlib import Path

from catalog.errors import InvalidInput
from catalog.exports.csv import unguarded
from catalog.imports.rows import (
    BadRow,
    GivenItem,
    Rows,
    described_caption,
    given_items,
    photo_path,
    short_text,
)

FILE = "captions.csv"
PHOTO_COLUMNS = ("path", "file_name", "image", "filename")
TEXT_COLUMNS = ("caption", "text")
DESCRIBING_COLUMNS = ("language", "kind", "state", "origin")


def read(file: Path, *, captioned_by: str | None = None) -> Rows:
    """A row a caption; the rows of a photo add up. Raises InvalidInput for a table without such a header."""
    rows = table_rows(file, PHOTO_COLUMNS, TEXT_COLUMNS)
    return given_items(rows, lambda place, row: item(place, row, captioned_by))


def table_rows(file: Path, *columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str] | BadRow]]:
    """Each row behind the header, with its place. Raises InvalidInput unless it has one of each `columns`."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        table = csv.DictReader(lines)
        try:
            header = list(table.fieldnames or [])
        except (csv.Error, UnicodeError) as error:
            raise InvalidInput(f'"{file}" cannot be read as a table in UTF-8: {error}') from error
        if not all(_column(header, wanted) for wanted in columns):
            raise InvalidInput(
                f'"{file}" begins with {",".join(header)[:200]!r}; its first line must name the columns, '
                f"among them {' and '.join(wanted[0] for wanted in columns)}"
            )
        try:
            for row in table:
                place = f"{file.name}, line {table.line_num}"
                if None in row or None in row.values():
                    yield place, BadRow(place, "it has another number of cells than the first line")
                else:
                    yield place, {name: unguarded(cell) for name, cell in row.items()}
        except (csv.Error, UnicodeError) as error:
            place = f"{file.name}, line {table.line_num + 1}"
            yield place, BadRow(place, f"nothing from here on can be read: {error}")


def item(place: str, row: dict[str, str], captioned_by: str | None) -> GivenItem:
    """What a row says of its photo, with a caption where it has one. Raises InvalidInput."""
    text = row.get(_column(row, TEXT_COLUMNS) or "", "")
    # An empty cell says nothing.
    fields = {name: row[name] for name in DESCRIBING_COLUMNS if row.get(name)} | {"text": text}
    return GivenItem(
        place=place,
        path=photo_path(row[str(_column(row, PHOTO_COLUMNS))]),
        captions=(described_caption(fields, captioned_by=captioned_by),) if text.strip() else (),
        external_id=short_text(row.get("external_id"), "external_id"),
    )


def _column(names: Collection[str], wanted: tuple[str, ...]) -> str | None:
    return next((name for name in wanted if name in names), None)
