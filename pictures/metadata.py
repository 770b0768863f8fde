"""Read the few descriptive EXIF fields that archives care about; positions (GPS) are never read."""

import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from PIL.ExifTags import IFD, Base
from PIL.Image import Image

from pictures.opening import MAX_PIXELS, opened

JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]

MAX_CHARACTERS = 2000

_TEXT_FIELDS = {
    "camera_make": Base.Make,
    "camera_model": Base.Model,
    "artist": Base.Artist,
    "copyright": Base.Copyright,
    "description": Base.ImageDescription,
}

# Control characters, and those that change the direction of the text around them.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")
_OFFSET = re.compile(r"[+-]\d\d:\d\d")


def read_metadata(source: Path | bytes, *, max_pixels: int = MAX_PIXELS) -> dict[str, JSON]:
    """Read captured (ISO 8601), camera_make, camera_model, artist, copyright, description and rights.

    Fields that are missing, empty or unreadable are left out. Texts are cut at 2,000 characters.
    Raises PictureError.
    """
    with opened(source, max_pixels=max_pixels) as image:
        fields, details = _exif(image)
    found: dict[str, JSON] = {}
    for name, tag in _TEXT_FIELDS.items():
        if text := _text(fields.get(tag)):
            found[name] = text
    taken_at, offset = details.get(Base.DateTimeOriginal), details.get(Base.OffsetTimeOriginal)
    if captured := _timestamp(taken_at, offset):
        found["captured"] = captured
    if "copyright" in found:
        found["rights"] = found["copyright"]
    return found


def orientation_of(image: Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) where there is none or it makes no sense."""
    orientation = _exif(image)[0].get(Base.Orientation)
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _exif(image: Image) -> tuple[dict[int, object], dict[int, object]]:
    try:
        exif = image.getexif()
        return dict(exif), dict(exif.get_ifd(IFD.Exif))
    except Exception:  # A camera's broken EXIF block says nothing about the pixels.
        return {}, {}


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return ""
    # The standard allows ASCII only; what is written is mostly UTF-8, which Pillow reads as Latin-1.
    with suppress(UnicodeError):
        value = value.encode("latin-1").decode("utf-8")
    printable = _UNPRINTABLE.sub(" ", value).encode("utf-8", errors="replace").decode("utf-8")
    return printable.strip()[:MAX_CHARACTERS]


def _timestamp(taken_at: object, offset: object) -> str | None:
    try:
        captured = datetime.strptime(_text(taken_at)[:19], "%Y:%m:%d %H:%M:%S").isoformat()
    except ValueError:
        return None
    zone = _OFFSET.fullmatch(_text(offset))
    return captured + zone.group() if zone else captured
