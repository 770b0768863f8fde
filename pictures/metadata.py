"""Read the few descriptive EXIF fields that archives care about; positions (GPS) are never read."""

import re
from contextlib import suppress
from datetime import datetime

from PIL.ExifTags import IFD, Base
from PIL.Image import Image

JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]

MAX_CHARACTERS = 2000

_TEXT_FIELDS = {
    "camera_make": Base.Make,
    "camera_model": Base.Model,
    "artist": Base.Artist,
    "copyright": Base.Copyright,
}

# Control characters, and those that change the direction of the text around them.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")
_UNPRINTABLE_IN_LINES = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")
_OFFSET = re.compile(r"[+-]\d\d:\d\d")


def exif_metadata(image: Image) -> dict[str, JSON]:
    """Read captured (ISO 8601), camera_make, camera_model, artist and copyright.

    Fields that are missing, empty or unreadable are left out. Texts are cut at 2,000 characters.
    """
    fields, details = _exif(image)
    found: dict[str, JSON] = {}
    for name, tag in _TEXT_FIELDS.items():
        if text := one_line(_as_written(fields.get(tag))):
            found[name] = text
    taken_at, offset = details.get(Base.DateTimeOriginal), details.get(Base.OffsetTimeOriginal)
    if captured := _timestamp(taken_at, offset):
        found["captured"] = captured
    return found


def exif_description(image: Image) -> str:
    """ImageDescription as it is written, which may be what a camera puts there by itself; "" without one."""
    return _as_written(_exif(image)[0].get(Base.ImageDescription))


def orientation_of(image: Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) where there is none or it makes no sense."""
    orientation = _exif(image)[0].get(Base.Orientation)
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def one_line(text: str, longest: int = MAX_CHARACTERS) -> str:
    """The text in printable characters on one line, cut at `longest`."""
    return _encodable(_UNPRINTABLE.sub(" ", text)).strip()[:longest].strip()


def lines(text: str, longest: int) -> str:
    """The text in printable characters with its ends of lines, cut at `longest`."""
    kept = _UNPRINTABLE_IN_LINES.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _encodable(kept).strip()[:longest].strip()


def _encodable(text: str) -> str:
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _exif(image: Image) -> tuple[dict[int, object], dict[int, object]]:
    try:
        exif = image.getexif()
        return dict(exif), dict(exif.get_ifd(IFD.Exif))
    except Exception:  # A camera's broken EXIF block says nothing about the pixels.
        return {}, {}


def _as_written(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return ""
    # The standard allows ASCII only; what is written is mostly UTF-8, which Pillow reads as Latin-1.
    with suppress(UnicodeError):
        value = value.encode("latin-1").decode("utf-8")
    return value


def _timestamp(taken_at: object, offset: object) -> str | None:
    try:
        captured = datetime.strptime(one_line(_as_written(taken_at))[:19], "%Y:%m:%d %H:%M:%S").isoformat()
    except ValueError:
        return None
    zone = _OFFSET.fullmatch(one_line(_as_written(offset)))
    return captured + zone.group() if zone else captured
