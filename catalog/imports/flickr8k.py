"""Flickr8k: `captions.txt` with the header image,caption, or the older `Flickr8k.token.txt`."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from catalog.errors import InvalidInput
from catalog.imports.rows import Rows, by_photo

FILES = ("captions.txt", "Flickr8k.token.txt")
HEADER = ["image", "caption"]


def read(file: Path, *, captioned_by: str | None = None) -> Rows:
    """All captions of a photo in one row, wherever in the file they stand. Raises InvalidInput."""
    captions: dict[str, list[object]] = {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            pairs = _table(file, lines) if file.name == "captions.txt" else _tokens(file, lines)
            for name, text in pairs:
                captions.setdefault(name, []).append(text)
    except (UnicodeError, csv.Error) as error:
        raise InvalidInput(f'"{file}" cannot be read: {error}') from error
    yield from by_photo(file.name, captions, captioned_by=captioned_by)


def is_table(file: Path) -> bool:
    """Whether a text begins with the header, and is no caption of a photo beside it."""
    with file.open("rb") as lines:
        return lines.readline(100).decode("utf-8-sig", "replace").strip() == ",".join(HEADER)


def _table(file: Path, lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    rows = csv.reader(lines)
    if next(rows, None) != HEADER:
        raise InvalidInput(f'"{file}" must begin with the header image,caption')
    for row in rows:
        if len(row) != 2:
            raise InvalidInput(f'line {rows.line_num} of "{file}" is not an image and its caption: {row}')
        yield row[0], row[1]


def _tokens(file: Path, lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines, start=1):
        name, tab, text = line.rstrip("\r\n").partition("\t")
        if not tab:
            raise InvalidInput(f'line {number} of "{file}" has no tab behind the image: {line[:60]!r}')
        yield name.partition("#")[0], text
