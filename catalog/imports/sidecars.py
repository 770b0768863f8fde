"""A text beside each photo, `pier.txt` or `pier.jpg.txt` for `pier.jpg`, that is its caption."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.errors import InvalidInput
from catalog.imports.rows import BadRow, GivenItem, Rows, caption
from pictures.errors import PictureError

if TYPE_CHECKING:
    from catalog.ingest import Incoming

SUFFIX = ".txt"
LONGEST = 100_000  # bytes


def beside(paths: Iterable[str]) -> dict[str, str]:
    """The text of each photo, by its path: one that is called as the photo, with its ending or without."""
    all_paths = set(paths)
    texts = {path for path in all_paths if path.endswith(SUFFIX)}
    found = {}
    for path in all_paths - texts:
        stem = path[: -len(Path(path).suffix)] if Path(path).suffix else path
        text = next((name for name in (f"{path}{SUFFIX}", f"{stem}{SUFFIX}") if name in texts), None)
        if text:
            found[path] = text
    return found


def read(files: Mapping[str, "Incoming"], texts: dict[str, str], *, captioned_by: str | None = None) -> Rows:
    """A row a photo that has a text; line breaks belong to the caption."""
    for photo, name in texts.items():
        try:
            with files[name].local() as file:
                text = _text(file)
            yield GivenItem(place=name, path=photo, captions=(caption(text, captioned_by=captioned_by),))
        except (InvalidInput, PictureError) as error:
            yield BadRow(name, str(error))


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > LONGEST:
            raise InvalidInput(f"the text has more than {LONGEST:,} bytes; a caption is shorter")
        return file.read_text(encoding="utf-8-sig")
    except (UnicodeError, OSError) as error:
        raise InvalidInput(f"it cannot be read as UTF-8 text: {error}") from error
