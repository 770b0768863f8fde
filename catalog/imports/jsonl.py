"""Our own JSONL, the lossless format: an object a photo, as `recaption export --format jsonl` writes it."""

from pathlib import Path
from typing import Any

from catalog.errors import InvalidInput
from catalog.imports.rows import (
    GivenItem,
    Rows,
    described_caption,
    given_items,
    json_lines,
    metadata,
    photo_path,
    short_text,
)

FILE = "captions.jsonl"


def read(file: Path, *, captioned_by: str | None = None) -> Rows:
    """Rows with `path` and `captions`; a caption needs nothing but its `text`, or is a text itself."""
    return given_items(json_lines(file), lambda place, row: item(place, row, captioned_by))


def item(place: str, row: dict[str, Any], captioned_by: str | None) -> GivenItem:
    """What a row says of its photo. Raises InvalidInput."""
    given = row.get("captions", [])
    if not isinstance(given, list):
        raise InvalidInput(f"captions is {given!r:.60}; it must be a list")
    return GivenItem(
        place=place,
        path=photo_path(row.get("path")),
        captions=tuple(
            described_caption(one if isinstance(one, dict) else {"text": one}, captioned_by=captioned_by)
            for one in given
        ),
        external_id=short_text(row.get("external_id"), "external_id"),
        rights=short_text(row.get("rights"), "rights"),
        metadata=metadata(row.get("metadata") or {}),
        flagged=row.get("flagged") is True,
        training_prohibited=row.get("training_prohibited") is True,
    )
