"""Exports of a collection as it is now: a row an item, streamed, in the formats of FORMATS."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from sqlalchemy.orm import Session

from catalog.errors import InvalidInput
from catalog.exports import csv, jsonl
from catalog.exports.rows import ExportedItem, exported_items
from catalog.schema import Collection

WRITERS: dict[str, Callable[[Iterator[ExportedItem], TextIO], None]] = {
    "jsonl": jsonl.write,
    "csv": csv.write,
}
FORMATS = tuple(WRITERS)


def file_name(format: str) -> str:
    """The name of the file that holds the captions. Raises InvalidInput for an unknown format."""
    _writer(format)
    return f"captions.{format}"


def write_export(session: Session, collection: Collection, format: str, stream: TextIO) -> None:
    """Write the collection to a stream, a row an item, with memory bounded whatever its size."""
    _writer(format)(exported_items(session, collection), stream)


def export_to(session: Session, collection: Collection, format: str, folder: Path) -> Path:
    """Write the collection into a folder; a file there is replaced whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(format)
    staged = path.with_name(f".{path.name}.part")
    with staged.open("w", encoding="utf-8", newline="") as stream:
        write_export(session, collection, format, stream)
    return staged.replace(path)


def _writer(format: str) -> Callable[[Iterator[ExportedItem], TextIO], None]:
    if format not in WRITERS:
        raise InvalidInput(f"format {format!r} is unknown; use one of {', '.join(FORMATS)}")
    return WRITERS[format]
