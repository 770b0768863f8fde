"""Safe names of exported files, from the paths of items, that no two photos share on any file system."""

import re
import unicodedata
from itertools import count
from pathlib import PurePosixPath

LONGEST_PART = 120  # bytes of UTF-8; file systems take 255, endings and numbers come on top
LONGEST_NAME = 1000  # bytes of UTF-8

# What Windows takes for something else, control characters, and those that turn the direction of text.
_UNSAFE = re.compile(
    '[<>:"|?*\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]'
)
_RESERVED = {
    "CON",
    "PRN",
    "AUX",
    "NUL",
    *(f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789"),
}
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,5}")


class Names:
    """Gives out names, each once, whether or not case and the form of Unicode count.

    With `by_stem` they differ before their endings as well, so that each photo can have a text beside it.
    """

    def __init__(self, *, by_stem: bool = True) -> None:
        self._by_stem = by_stem
        self._taken: dict[str, int] = {}

    def of(self, path: str, ending: str) -> str:
        """A relative path with slashes for the photo of an item, with this ending in place of its own."""
        *folders, file = _parts(path)
        stem = "/".join([*_fitting(folders), without_ending(file)])
        first = self._taken.get(self._key(stem, ending), 0) + 1
        for number in count(first):
            name = stem if number == 1 else f"{stem}-{number}"
            if self._key(name, ending) not in self._taken:
                break
        self._taken[self._key(stem, ending)] = number
        self._taken.setdefault(self._key(name, ending), 1)
        return name + ending

    def _key(self, stem: str, ending: str) -> str:
        return unicodedata.normalize("NFC", (stem if self._by_stem else stem + ending).casefold())


def ending(path: str) -> str:
    """The ending of a path, such as `.tif`; none where what follows the last dot is no ending."""
    found = PurePosixPath(path).suffix
    return found if _ENDING.fullmatch(found) else ""


def without_ending(name: str) -> str:
    return name.removesuffix(ending(name))


def _parts(path: str) -> list[str]:
    """The safe parts of a path, one at least: nothing of it leads out of the folder that it is joined to."""
    given = [part for part in path.replace("\\", "/").split("/") if part.strip() not in ("", ".", "..")]
    *folders, file = given or ["photo"]
    # A folder that is called as a file might be, such as `pier.jpg`, could meet that file.
    return [*(f"{safe}_" if ending(safe := _safe(one)) else safe for one in folders), _safe(file)]


def _safe(part: str) -> str:
    """The part without what some system refuses, hides or reads as something else."""
    stem, suffix = without_ending(part), ending(part)
    clean = _UNSAFE.sub("_", unicodedata.normalize("NFC", stem)).strip().lstrip(".")
    clean = clean.encode()[: LONGEST_PART - len(suffix)].decode(errors="ignore").rstrip(". ")
    # Readers of folders pass over `.name` and `__name__`.
    clean = re.sub("^__+", "_", clean) or "_"
    if clean.partition(".")[0].strip().upper() in _RESERVED:
        clean = f"_{clean}"
    return clean + suffix


def _fitting(folders: list[str]) -> list[str]:
    """The last of the folders, as many as fit."""
    while folders and len("/".join(folders).encode()) > LONGEST_NAME - 2 * LONGEST_PART:
        folders = folders[1:]
    return folders
