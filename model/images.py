"""Photos from disk to framed pixels, decoded by threads ahead of the network that uses them."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from torch import Tensor

from model.ahead import ahead
from model.description import Preprocessing
from model.transforms import frame
from pictures.decode import MAX_PIXELS, open_picture
from pictures.errors import PictureError

DECODED_AHEAD = 128


def read_framed(path: Path, preprocessing: Preprocessing, *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """One photo as (3, size, size) uint8; raises PictureError."""
    picture = open_picture(path, shortest=preprocessing.size, max_pixels=max_pixels)
    return frame(picture.pixels, preprocessing)


def decode_ahead(
    paths: Iterable[Path], preprocessing: Preprocessing, *, max_pixels: int = MAX_PIXELS
) -> Iterator[Tensor | PictureError]:
    """Framed photos in the order of their paths; in place of an unreadable one the error that says why."""
    read = partial(_read_or_error, preprocessing=preprocessing, max_pixels=max_pixels)
    return ahead(ThreadPoolExecutor(), read, paths, count=DECODED_AHEAD)


def _read_or_error(path: Path, preprocessing: Preprocessing, max_pixels: int) -> Tensor | PictureError:
    try:
        return read_framed(path, preprocessing, max_pixels=max_pixels)
    except PictureError as error:
        return error
