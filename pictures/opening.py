"""The one door for picture files: formats, sizes and bombs are checked before any pixel is decoded."""

import json
import logging
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError, features
from PIL.ImageFile import ImageFile

from pictures import signatures
from pictures.errors import CorruptPicture, NotAnImage, PictureError, RefusedPicture, TooLarge

MAX_PIXELS = 200_000_000
"""Default limit of pixels a picture; a large negative scan has 115 million."""

# Pixels against bytes. The ratio alone proves nothing: a blank page at 600 dpi in bilevel TIFF G4 has 10,000
# pixels a byte, yet costs 0.1 GB and a fraction of a second. So only pictures that are expensive too are
# judged, and bilevel TIFF, where blank pages of any size are honest, by MAX_PIXELS alone. Among the rest,
# photographs of the lowest useful quality stay below 100 pixels a byte and the flattest JPEG reaches 170, but
# a flat PNG has 290 (RGB) to 1,030 (grey), a flat GIF 1,200, and WebP, AVIF and JPEG 2000 more than 10,000.
BOMB_PIXELS = 50_000_000
BOMB_PIXELS_PER_BYTE = 200

_CODECS = {
    "JPEG": "jpg",
    "PNG": "zlib",
    "WEBP": "webp",
    "GIF": None,
    "TIFF": None,
    "AVIF": "avif",
    "JPEG2000": "jpg_2000",
}
FORMATS = tuple(name for name, codec in _CODECS.items() if codec is None or features.check(codec))
"""Accepted formats, by Pillow's names, that this build of Pillow can decode."""

# Pillow's own limit is one number for the process; swapping it around a call would race between threads.
# It is switched off once, because every file goes through `opened`, which checks before anything is decoded.
Image.MAX_IMAGE_PIXELS = None
Image.init()

# What Pillow logs about damaged files is told by our exceptions.
logging.getLogger("PIL").setLevel(logging.CRITICAL)

# Controls that JSON leaves as they are, and those of the direction of text.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_PILLOW_IS_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_filters_lock = threading.Lock()


@contextmanager
def opened(source: Path | bytes, *, max_pixels: int = MAX_PIXELS) -> Iterator[ImageFile]:
    """Open a picture's header; what goes wrong here or while the caller decodes leaves as a PictureError."""
    label = label_of(source)
    _silence_pillow()
    with _readable(source, label) as file:
        byte_count = file.seek(0, os.SEEK_END)
        if byte_count == 0:
            raise NotAnImage(f"{label} is empty; copy or export it again")
        try:
            with Image.open(file, formats=_formats_for(file)) as image:
                _check_cost(image, byte_count, max_pixels, label)
                yield image
        except PictureError:
            raise
        except UnidentifiedImageError as error:
            raise _unidentified(file, label) from error
        except MemoryError as error:
            message = f"{label} needs more memory to decode than there is; scale it down or save it as JPEG"
            raise RefusedPicture(message) from error
        except Exception as error:  # Decoders fed with hostile bytes raise nearly every type there is.
            message = f"{label} is damaged ({_first_words(error)}); copy or export it again"
            raise CorruptPicture(message) from error


def _formats_for(file: BinaryIO) -> tuple[str, ...]:
    """The formats to try: HEIC only for what begins as one, so that its decoder is loaded for nobody else."""
    file.seek(0)
    head = file.read(signatures.HEAD_BYTES)
    file.seek(0)
    return (*FORMATS, "HEIF") if signatures.describe(head) == signatures.HEIC and _reads_heic() else FORMATS


@cache
def _reads_heic() -> bool:
    """Whether `pillow-heif`, which the extra "heic" brings, is installed; registers it if so."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.options.THUMBNAILS = False
    pillow_heif.register_heif_opener()
    return True


@contextmanager
def _readable(source: Path | bytes, label: str) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield BytesIO(source)
        return
    try:
        if not stat.S_ISREG(source.stat().st_mode):
            raise PictureError(f"{label} is not a regular file; pass the path of a picture file")
        file = source.open("rb")
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise PictureError(
            f"{label} cannot be opened: {reason}; check the path and its permissions"
        ) from error
    with file:
        yield file


def _check_cost(image: ImageFile, byte_count: int, max_pixels: int, label: str) -> None:
    width, height = image.size
    pixels = width * height
    may_be_blank = image.format == "TIFF" and image.mode == "1"
    if pixels > BOMB_PIXELS and pixels > BOMB_PIXELS_PER_BYTE * byte_count and not may_be_blank:
        raise RefusedPicture(
            f"{label} packs {width} x {height} pixels into {byte_count:,} bytes, as decompression bombs do; "
            "if it is honest, scale it down or save it as JPEG"
        )
    if pixels > max_pixels:
        raise TooLarge(
            f"{label} has {width} x {height} pixels, more than the limit of {max_pixels:,}; "
            "scale it down or raise RECAPTION_MAX_PIXELS"
        )


def _unidentified(file: BinaryIO, label: str) -> PictureError:
    file.seek(0)
    head = file.read(signatures.HEAD_BYTES)
    if name := signatures.accepted_format(head):
        return CorruptPicture(
            f"{label} begins as {name} files do, but its header is damaged or of an unknown variant; "
            "copy or export it again"
        )
    likeness = signatures.describe(head)
    if likeness == signatures.HEIC:
        if _reads_heic():
            return CorruptPicture(
                f"{label} begins as HEIC files do, but its header is damaged; export it again"
            )
        return NotAnImage(
            f'{label} looks like {likeness}; to read it, `pip install "recaption[heic]"` where it is imported'
        )
    accepted = ", ".join(signatures.ACCEPTED)
    return NotAnImage(f"{label} looks like {likeness}; pass a picture as {accepted}")


def label_of(source: Path | bytes) -> str:
    """Name a source in a message: the file's name without its folders, quoted and printable."""
    if isinstance(source, bytes):
        return "the given file"
    # Names may hold control characters, turn the text around them and, on Linux, be no UTF-8.
    name = os.fsencode(source.name).decode("utf-8", errors="replace")
    quoted = json.dumps(name, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", quoted)


def _first_words(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:120]


def _silence_pillow() -> None:
    # `warnings.catch_warnings` swaps state of the process and is unsafe between threads; a filter that names
    # only Pillow and stays in place is safe. It is renewed where somebody has put other filters before it.
    with _filters_lock:
        if not warnings.filters or warnings.filters[0] != _PILLOW_IS_QUIET:
            warnings.filterwarnings("ignore", module=r"PIL\.")
