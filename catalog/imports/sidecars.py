"""A text beside each photo, `pier.txt` or `pier.jpg.txt` for `pier.jpg`, that is its caption."""

from collections.abc import Iterable
from pathlib import Path

from catalog.errors import InvalidInput
from catalog.imports.rows import BadRow, GivenItem, Rows, caption

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


def read(folder: Path, texts: dict[str, str], *, captioned_by: str | None = None) -> Rows:
    """A row a photo that has a text; line breaks belong to the caption."""
    for photo, name in texts.items():
        try:
            text = _text(folder / name)
            yield GivenItem(place=name, path=photo, captions=(caption(text, captioned_by=captioned_by),))
        except InvalidInput as error:
            yield BadRow(name, str(error))


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > LONGEST:
            raise InvalidInput(f"the text has more than {LONGEST:,} bytes; a caption is shorter")
        return file.read_text(encoding="utf-8-sig")
    except (UnicodeError, OSError) as error:
        raise InvalidInput(f"it cannot be read as UTF-8 text: {error}") from error
