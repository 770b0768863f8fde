"""What a file of captions says: a photo's captions and what else is known of it, checked row by row."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from catalog import captions
from catalog.errors import InvalidInput
from catalog.languages import language
from catalog.schema import CaptionKind, CaptionState, Origin
from catalog.text import storable

Word = TypeVar("Word", bound=StrEnum)

NAME_LENGTH = 2_000  # characters of a path, an external id, the rights or the name of a model
METADATA_LENGTH = 100_000  # characters of JSON


@dataclass(frozen=True, kw_only=True)
class GivenCaption:
    """A caption that came with its photo. `model` names the captioner whose text it is, with its version."""

    text: str
    language: str = "en"
    kind: CaptionKind = CaptionKind.CAPTION
    state: CaptionState = CaptionState.ACCEPTED
    origin: Origin = Origin.IMPORTED
    version: int = 1
    model: str | None = None


@dataclass(frozen=True, kw_only=True)
class GivenItem:
    """What a row says of one photo: `place` is where, `path` leads from the folder to the photo."""

    place: str
    path: str
    captions: tuple[GivenCaption, ...] = ()
    external_id: str | None = None
    rights: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    flagged: bool = False
    training_prohibited: bool = False


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, and why; the others can."""

    place: str
    reason: str


Rows = Iterator[GivenItem | BadRow]


def caption(text: object, *, captioned_by: str | None, **known: Any) -> GivenCaption:
    """A caption of a format that tells no state: a person's, or a model's candidate. Raises InvalidInput."""
    if not isinstance(text, str):
        raise InvalidInput(f"a caption must be a text, not {text!r:.60}")
    if captioned_by:
        known |= {"model": captioned_by, "origin": Origin.MODEL, "state": CaptionState.CANDIDATE}
    return GivenCaption(text=captions.clean(text), **known)


def described_caption(fields: Mapping[str, Any], *, captioned_by: str | None) -> GivenCaption:
    """A caption with what a format of ours says of it; one without origin and state as `caption` has it.

    Raises InvalidInput.
    """
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


def photo_path(value: object) -> str:
    """The path of a photo below the folder, with slashes. Raises InvalidInput for one that leads out."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(f"the name of the photo is {value!r:.60}; it must be a path below the folder")
    if storable(value) != value or len(value) > NAME_LENGTH:
        raise InvalidInput(f"{value!r:.200} is too long, or has characters that no photo's name should have")
    path = PurePosixPath(value.strip().replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", value):
        raise InvalidInput(f"{value!r:.200} leads out of the folder; name photos by paths below it")
    return str(path)


def short_text(value: object, name: str) -> str | None:
    """A name or id, None where it is missing or empty. Raises InvalidInput for what is no such text."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > NAME_LENGTH:
        raise InvalidInput(f"{name} is {value!r:.60}; it must be a text of up to {NAME_LENGTH} characters")
    return storable(str(value))


def metadata(value: object) -> dict[str, Any]:
    """An object of what else is known of a photo, in characters that can be stored. Raises InvalidInput."""
    if not isinstance(value, dict):
        raise InvalidInput(f"metadata is {value!r:.60}; it must be an object")
    try:
        length = len(json.dumps(value, allow_nan=False))
    except ValueError as error:
        raise InvalidInput(f"metadata is no JSON: {error}") from error
    if length > METADATA_LENGTH:
        raise InvalidInput(f"metadata has {length} characters; keep it under {METADATA_LENGTH}")
    return {storable(name): _storable(found) for name, found in value.items()}


def one_of(words: type[Word], value: object, name: str) -> Word:
    """One of the enum's words. Raises InvalidInput naming them all."""
    try:
        return words(str(value))
    except ValueError:
        raise InvalidInput(f"{name} is {value!r:.60}; it must be one of {', '.join(words)}") from None


def read_json(file: Path) -> Any:
    """A whole JSON file. Raises InvalidInput."""
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError, OSError) as error:
        raise InvalidInput(f'"{file}" cannot be read as JSON: {error}') from error


def json_lines(file: Path) -> Iterator[tuple[str, dict[str, Any] | BadRow]]:
    """Each line that is not blank, with its place: an object, or why it is none. Raises InvalidInput."""
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    place = f"{file.name}, line {number}"
                    yield place, _object(place, line)
    except (UnicodeError, OSError) as error:
        raise InvalidInput(f'"{file}" cannot be read as UTF-8 text: {error}') from error


def given_items(rows: Iterable[tuple[str, Any]], item: Callable[[str, Any], GivenItem]) -> Rows:
    """What `item` makes of each row and its place; a row that it raises InvalidInput for is a bad one."""
    for place, row in rows:
        try:
            yield row if isinstance(row, BadRow) else item(place, row)
        except InvalidInput as error:
            yield BadRow(place, str(error))


def by_photo(place: str, captions_of: Mapping[str, Sequence[object]], *, captioned_by: str | None) -> Rows:
    """A row a photo from the texts of each."""
    for name, texts in captions_of.items():
        try:
            given = tuple(caption(text, captioned_by=captioned_by) for text in texts)
            yield GivenItem(place=place, path=photo_path(name), captions=given)
        except InvalidInput as error:
            yield BadRow(f"{place}, {name!r:.200}", str(error))


def sum_of(first: GivenItem, other: GivenItem) -> GivenItem:
    """What two rows say of one photo; where they differ, the first is right."""
    return replace(
        first,
        captions=(*first.captions, *other.captions),
        external_id=first.external_id or other.external_id,
        rights=first.rights or other.rights,
        metadata={**other.metadata, **first.metadata},
        flagged=first.flagged or other.flagged,
        training_prohibited=first.training_prohibited or other.training_prohibited,
    )


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value, keep="\n")
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, dict):
        return {storable(name): _storable(one) for name, one in value.items()}
    return value


def _object(place: str, line: str) -> dict[str, Any] | BadRow:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        return BadRow(place, f"it is no JSON: {error}")
    return found if isinstance(found, dict) else BadRow(place, f"it is no JSON object, but {line[:60]!r}")
