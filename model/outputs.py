"""The files that `recaption caption` writes: a line a photo, failed ones too."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TextIO

from model.errors import CaptioningError
from model.prediction import Alternative


@dataclass(frozen=True, kw_only=True)
class Captioned:
    """One photo by its path as given: a caption, or the error that stood in the way."""

    image: str
    caption: str | None = None
    score: float | None = None
    confidence: float | None = None
    alternatives: tuple[Alternative, ...] = ()
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Format:
    """How a file begins, how a photo becomes a line, and how to get image and error back out of one.

    `key` is the image as `read` returns it; a name with a line break is escaped in the formats of plain text.
    """

    header: str
    write: Callable[[Captioned], str]
    read: Callable[[str], tuple[str, str | None]]
    key: Callable[[str], str]


_ESCAPES = {ord("\\"): "\\\\", ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r"}
# A spreadsheet would run a cell that begins like this as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _one_line(text: str) -> str:
    return text.translate(_ESCAPES)


def _write_json(photo: Captioned) -> str:
    row = {
        "image": photo.image,
        "caption": photo.caption,
        "score": _rounded(photo.score),
        "confidence": _rounded(photo.confidence),
        "alternatives": [
            {"text": other.text, "score": _rounded(other.score)} for other in photo.alternatives
        ],
        "error": photo.error,
    }
    return json.dumps(row, ensure_ascii=False)


def _read_json(line: str) -> tuple[str, str | None]:
    row = json.loads(line)
    return row["image"], row["error"]


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _write_csv(photo: Captioned) -> str:
    score = "" if photo.score is None else str(_rounded(photo.score))
    line = io.StringIO()
    cells = [_csv_key(photo.image), _cell(photo.caption or ""), score, _cell(_one_line(photo.error or ""))]
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _read_csv(line: str) -> tuple[str, str | None]:
    image, _, _, error = next(csv.reader([line]))
    return image, error or None


def _csv_key(image: str) -> str:
    return _one_line(image) if image.startswith(_FORMULA[-2:]) else _cell(_one_line(image))


def _write_text(photo: Captioned) -> str:
    return f"{_one_line(photo.image)}\t{photo.caption or ''}"


def _read_text(line: str) -> tuple[str, str | None]:
    image, caption = line.split("\t")
    return image, None if caption else "it failed in an earlier run"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


FORMATS = {
    "jsonl": Format(header="", write=_write_json, read=_read_json, key=str),
    "csv": Format(header="image,caption,score,error\n", write=_write_csv, read=_read_csv, key=_csv_key),
    "txt": Format(header="", write=_write_text, read=_read_text, key=_one_line),
}


class OutputFile:
    """A file of captioned photos, kept complete up to the last batch."""

    def __init__(self, file: TextIO, format_: Format, earlier: dict[str, str | None]) -> None:
        self._file = file
        self._format = format_
        self._earlier = earlier

    @classmethod
    def open(cls, path: Path, format_name: str, *, resume: bool) -> Self:
        """Begin the file anew, or go on after its last whole line; raises CaptioningError."""
        format_ = FORMATS[format_name]
        earlier = _earlier(path, format_) if resume and path.is_file() else {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # File names may hold bytes that are no UTF-8; they are written as they are.
            file = path.open("a" if earlier else "w", encoding="utf-8", errors="surrogateescape", newline="")
        except OSError as error:
            raise CaptioningError(f'cannot write "{path}": {error.strerror}') from error
        if not earlier:
            file.write(format_.header)
        return cls(file, format_, earlier)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def holds(self, image: str) -> bool:
        """Whether an earlier run wrote a line for this image."""
        return self._format.key(image) in self._earlier

    def earlier_errors(self, images: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Those of these images that failed in an earlier run, with the reason."""
        for image in images:
            if error := self._earlier.get(self._format.key(image)):
                yield image, error

    def write(self, photos: list[Captioned]) -> None:
        """Append a batch and hand it to the operating system."""
        self._file.writelines(self._format.write(photo) + "\n" for photo in photos)
        self._file.flush()


def _earlier(path: Path, format_: Format) -> dict[str, str | None]:
    """Image and error of every whole line; what a killed run left half-written is cut off."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    lines = whole.decode("utf-8", errors="surrogateescape").removeprefix(format_.header).split("\n")[:-1]
    try:
        earlier = dict(format_.read(line) for line in lines)
    except (ValueError, KeyError, TypeError) as error:
        raise CaptioningError(
            f'"{path}" was not written by recaption caption in this format; choose another --output'
        ) from error
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return earlier
