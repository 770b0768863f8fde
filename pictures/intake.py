"""Learn everything that an import records of one picture file."""

from dataclasses import dataclass
from pathlib import Path

from pictures.decode import MAX_PIXELS, open_picture
from pictures.description import EmbeddedCaption, describe
from pictures.fingerprint import dhash, sha256_of
from pictures.metadata import JSON
from pictures.renditions import rendition

RENDITION_LONGEST = 1024
# Averages over areas need no more; a JPEG is decoded several times faster for it.
HASHED_SHORTEST = 64

Encoded = bytes


@dataclass(frozen=True)
class Measured:
    """What an import records: the file's hash and size, the upright picture's size, and a JPEG rendition.

    `dhash` is the difference hash, signed 64 bits. `captions` to `sidecar_error` are as in
    `pictures.description.Description`.
    """

    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    pages: int
    notes: tuple[str, ...]
    metadata: dict[str, JSON]
    rights: str | None
    dhash: int
    rendition: Encoded
    captions: tuple[EmbeddedCaption, ...] = ()
    training_prohibited: bool = False
    sidecar_error: str | None = None


def measure(path: Path, *, sidecar: Path | None = None, max_pixels: int = MAX_PIXELS) -> Measured:
    """Decode, hash and describe one untrusted file, with its XMP sidecar if it has one. Raises PictureError.

    `pictures.sandbox.DecodingProcess` does the same with limits of memory and time.
    """
    picture = open_picture(path, shortest=RENDITION_LONGEST, max_pixels=max_pixels)
    said = describe(path, sidecar=sidecar, max_pixels=max_pixels)
    small = rendition(picture.pixels, longest=RENDITION_LONGEST)
    return Measured(
        sha256=sha256_of(path),
        bytes=path.stat().st_size,
        width=picture.width,
        height=picture.height,
        format=picture.format,
        pages=picture.pages,
        notes=picture.notes + said.notes,
        metadata=said.metadata,
        rights=said.rights,
        dhash=dhash_of(small),
        rendition=small,
        captions=said.captions,
        training_prohibited=said.training_prohibited,
        sidecar_error=said.sidecar_error,
    )


def dhash_of(rendition: Encoded) -> int:
    """The difference hash of a picture, from its rendition: the same now and whenever it is asked again.

    Raises PictureError.
    """
    return dhash(open_picture(rendition, shortest=HASHED_SHORTEST).pixels)
