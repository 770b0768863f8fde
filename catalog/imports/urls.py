"""Lists of URLs: where photos are, what they shall be called, and what is known of them."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from catalog.errors import InvalidInput
from catalog.imports import csv, jsonl
from catalog.imports.fetching import Fetcher
from catalog.imports.rows import BadRow, GivenItem, json_lines, photo_path, sum_of
from catalog.imports.staging import staged
from catalog.ingest import FileReport, Incoming
from pictures.errors import PictureError, RefusedPicture

COLUMN = "url"
BEGINNINGS = ("http://", "https://")
COMMENT = "#"
LONGEST_LINE = 100_000  # characters


@dataclass(frozen=True)
class Remote(Incoming):
    """A photo that another host keeps; it is fetched while somebody reads it."""

    url: str = field(kw_only=True, repr=False)
    fetcher: Fetcher = field(kw_only=True, repr=False, compare=False)
    staging: Path = field(kw_only=True, repr=False, compare=False)

    def local(self) -> AbstractContextManager[Path]:
        return staged(self.path, self.staging, self._fetch)

    def _fetch(self, target: Path) -> None:
        try:
            self.fetcher.fetch(self.url, target)
        except PictureError as error:
            raise type(error)(f"{self.given.place}: {error}" if self.given else str(error)) from error


def is_list(file: Path) -> bool:
    """Whether a file says where photos are: lines of URLs, or a table or objects with a `url`."""
    try:
        if file.suffix == ".jsonl":
            first = next((row for _, row in json_lines(file)), None)
            return isinstance(first, dict) and COLUMN in first
        if file.suffix in (".csv", ".txt"):
            with file.open(encoding="utf-8-sig") as lines:
                first_line = next((line for line in _lines(lines)), "")
            if file.suffix == ".csv":
                return COLUMN in [cell.strip().strip('"') for cell in first_line.split(",")]
            return first_line.lower().startswith(BEGINNINGS)
    except (InvalidInput, UnicodeError):
        pass
    return False


def photos_of(
    file: Path, *, fetcher: Fetcher, staging: Path, captioned_by: str | None = None
) -> tuple[Sequence[Remote], Sequence[FileReport]]:
    """The photos of a list, each once, and a report for each row that is refused unasked.

    Rows of one URL and path add up. Raises InvalidInput for a list that cannot be read at all.
    """
    staging.mkdir(parents=True, exist_ok=True, mode=0o700)
    given: dict[tuple[str, str], GivenItem] = {}
    refused = []
    for place, row in _rows(file):
        try:
            url, item = _item(place, row, fetcher, captioned_by, file)
        except (InvalidInput, PictureError) as error:
            refused.append(FileReport(place, RefusedPicture.reason, None, str(error)))
        else:
            key = url, item.path
            given[key] = sum_of(given[key], item) if key in given else item
    photos = [
        Remote(file, path, item, url=url, fetcher=fetcher, staging=staging)
        for (url, path), item in given.items()
    ]
    return photos, refused


def _rows(file: Path) -> Iterator[tuple[str, Any]]:
    if file.suffix == ".jsonl":
        yield from json_lines(file)
    elif file.suffix == ".csv":
        yield from csv.table_rows(file, (COLUMN,))
    else:
        with file.open(encoding="utf-8-sig", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip() and not line.startswith(COMMENT):
                    yield f"{file.name}, line {number}", {COLUMN: line.strip()}


def _item(
    place: str, row: dict[str, Any] | BadRow, fetcher: Fetcher, captioned_by: str | None, file: Path
) -> tuple[str, GivenItem]:
    """A row's URL and what it says of the photo. Raises InvalidInput and PictureError."""
    if isinstance(row, BadRow):
        raise InvalidInput(row.reason)
    url = row.get(COLUMN)
    host = fetcher.place_of(url).host
    parts = urlsplit(str(url))
    path = photo_path(row.get("path") or PurePosixPath(unquote(parts.path)).name or host)
    row = {"captions": [row["caption"]] if "caption" in row else [], **row, "path": path}
    item = (csv.item if file.suffix == ".csv" else jsonl.item)(place, row, captioned_by)
    # A query may hold a key that lets its bearer in.
    source_url = parts._replace(query="", fragment="").geturl()
    return str(url), replace(item, metadata={**item.metadata, "source_url": source_url})


def _lines(lines: Any) -> Iterator[str]:
    """Lines that say something; of a file without line breaks only the beginning is read."""
    while line := lines.readline(LONGEST_LINE):
        if line.strip() and not line.startswith(COMMENT):
            yield line.strip()
