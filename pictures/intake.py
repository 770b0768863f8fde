"""Learn everything that an import records of one picture file."""

from dataclasses import dataclass
from pathlib import Path

from pictures.decode import MAX_PIXELS, open_picture
from pictures.fingerprint import sha256_of
from pictures.metadata import JSON, read_metadata
from pictures.renditions import rendition

RENDITION_LONGEST = 1024

Encoded = bytes


@dataclass(frozen=True)
class Measured:
    """What an import records: the file's hash and size, the upright picture's size, and a JPEG rendition."""

    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    pages: int
    notes: tuple[str, ...]
    metadata: dict[str, JSON]
    rights: str | None
    rendition: Encoded


def measure(path: Path, *, max_pixels: int = MAX_PIXELS) -> Measured:
    """Decode, hash and describe one untrusted file. Raises PictureError.

    `pictures.sandbox.DecodingProcess` does the same with limits of memory and time.
    """
    picture = open_picture(path, shortest=RENDITION_LONGEST, max_pixels=max_pixels)
    metadata = read_metadata(path, max_pixels=max_pixels)
    rights = metadata.get("rights")
    return Measured(
        sha256=sha256_of(path),
        bytes=path.stat().st_size,
        width=picture.width,
        height=picture.height,
        format=picture.format,
        pages=picture.pages,
        notes=picture.notes,
        metadata=metadata,
        rights=rights if isinstance(rights, str) else None,
        rendition=rendition(picture.pixels, longest=RENDITION_LONGEST),
    )
