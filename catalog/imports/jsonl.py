"""Our own JSONL, the lossless format: an object a photo, as `recaption export --format jsonl` writes it."""

from pathlib import Path
from typing import Any

from catalog.errors import InvalidInput
from catalog.imports.rows import (
    BadRow,
    GivenCaption,
    GivenItem,
    Rows,
    caption,
    json_lines,
    language,
    metadata,
    one_of,
    photo_path,
    short_text,
)
from catalog.schema import CaptionKind, CaptionState, Origin

FILE = "captions.jsonl"


def read(file: Path, *, captioned_by: str | None = None) -> Rows:
    """Rows with `path` and `captions`; a caption needs nothing but its `text`, or is a text itself."""
    for place, row in json_lines(file):
        try:
            yield row if isinstance(row, BadRow) else _item(place, row, captioned_by)
        except InvalidInput as error:
            yield BadRow(place, str(error))


def _item(place: str, row: dict[str, Any], captioned_by: str | None) -> GivenItem:
    given = row.get("captions", [])
    if not isinstance(given, list):
        raise InvalidInput(f"captions is {given!r:.60}; it must be a list")
    return GivenItem(
        place=place,
        path=photo_path(row.get("path")),
        captions=tuple(_caption(one, captioned_by) for one in given),
        external_id=short_text(row.get("external_id"), "external_id"),
        rights=short_text(row.get("rights"), "rights"),
        metadata=metadata(row.get("metadata") or {}),
        flagged=row.get("flagged") is True,
    )


def _caption(given: object, captioned_by: str | None) -> GivenCaption:
    fields = given if isinstance(given, dict) else {"text": given}
    known: dict[str, Any] = {
        "kind": one_of(CaptionKind, fields.get("kind", CaptionKind.CAPTION), "kind"),
        "language": language(fields.get("language", "en")),
    }
    if "origin" not in fields and "state" not in fields:
        return caption(fields.get("text"), captioned_by=captioned_by, **known)
    version = fields.get("version", 1)
    if type(version) is not int or not 1 <= version < 2**31:
        raise InvalidInput(f"version is {version!r:.60}; it must be a whole number from 1 on")
    return caption(
        fields.get("text"),
        captioned_by=None,
        **known,
        state=one_of(CaptionState, fields.get("state", CaptionState.ACCEPTED), "state"),
        origin=one_of(Origin, fields.get("origin", Origin.IMPORTED), "origin"),
        version=version,
        model=short_text(fields.get("checkpoint"), "checkpoint"),
    )
