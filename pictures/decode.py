"""Decode an untrusted picture file into an upright RGB array."""

from dataclasses import dataclass
from pathlib import Path

from PIL.ImageFile import ImageFile

from pictures.metadata import orientation_of
from pictures.opening import MAX_PIXELS, opened
from pictures.rgb import Pixels, upright_rgb

__all__ = ["MAX_PIXELS", "Picture", "open_picture"]


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture.

    `pixels` is (H, W, 3) uint8 RGB, contiguous; `width` and `height` are those of the upright original,
    larger than W and H where the decoder scaled down. Of several `pages` or frames the first is taken.
    """

    pixels: Pixels
    width: int
    height: int
    format: str
    pages: int
    notes: tuple[str, ...]


def open_picture(
    source: Path | bytes, *, shortest: int | None = None, max_pixels: int = MAX_PIXELS
) -> Picture:
    """Decode the first page: upright, 8 bits, transparency on white.

    With `shortest`, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size (libjpeg scales in the DCT domain, which
    saves most of the time) as long as its shortest side stays that long; other formats are decoded whole.

    Raises PictureError (NotAnImage, CorruptPicture, TooLarge, RefusedPicture). Safe to call from threads.
    """
    if shortest is not None and shortest < 1:
        raise ValueError(f"shortest is {shortest}; pass a length of 1 pixel or more, or None")
    with opened(source, max_pixels=max_pixels) as image:
        width, height = image.size
        if shortest is not None:
            image.draft(None, (shortest, shortest))
        image.load()
        # Pillow turns TIFF upright itself while it loads, and only then forgets the tag.
        orientation = orientation_of(image)
        if orientation >= 5:
            width, height = height, width
        pixels = upright_rgb(image, orientation)
        pages, notes = _pages(image)
        return Picture(pixels, width, height, _format_name(image), pages, notes)


def _format_name(image: ImageFile) -> str:
    # MPO is a JPEG with further pictures behind it, as many phones write it.
    return "JPEG" if image.format == "MPO" else str(image.format)


def _pages(image: ImageFile) -> tuple[int, tuple[str, ...]]:
    if image.format == "MPO":
        # What follows the photo is its gain map, depth map or preview: nothing that anyone would miss.
        return 1, ()
    unit = "page" if image.format == "TIFF" else "frame"
    try:
        pages = int(getattr(image, "n_frames", 1))
    except Exception:  # The first page is decoded by now; damage in a later one must not lose it.
        return 1, (f"{unit}s after the first are damaged and were not counted",)
    return pages, (f"{unit} 1 of {pages}",) if pages > 1 else ()
