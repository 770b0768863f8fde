"""Make the small JPEG of a picture that captioning and previews use, and the smaller one of grids."""

from io import BytesIO
from pathlib import Path

from PIL import Image

from pictures.rgb import Pixels

MAX_BYTES = 200_000
"""What is stored of a referenced picture stays below this."""

_QUALITY_STEP = 10
_LOWEST_QUALITY = 20
_SIDE_STEP = 0.8


def rendition(pixels: Pixels, *, longest: int = 1024, quality: int = 80) -> bytes:
    """Encode (H, W, 3) RGB as a JPEG without metadata, at most `longest` pixels on its longest side.

    Scales down with LANCZOS, never up. While the JPEG exceeds MAX_BYTES, quality goes down to 20, and then,
    for halftones and the like, the size.
    """
    image = _scaled_down(Image.fromarray(pixels), longest)
    encoded = _jpeg(image, quality)
    while len(encoded) > MAX_BYTES and quality > _LOWEST_QUALITY:
        quality = max(_LOWEST_QUALITY, quality - _QUALITY_STEP)
        encoded = _jpeg(image, quality)
    while len(encoded) > MAX_BYTES:
        image = _scaled_down(image, round(max(image.size) * _SIDE_STEP))
        encoded = _jpeg(image, quality)
    return encoded


def thumbnail(rendition: bytes, *, longest: int = 320, quality: int = 75) -> bytes:
    """Encode a rendition of ours again for a tile, at most `longest` pixels on its longest side."""
    with Image.open(BytesIO(rendition), formats=["JPEG"]) as image:
        # JPEG halves its sides while it decodes, which costs a fraction of decoding all of it.
        image.draft("RGB", (longest, longest))
        return _jpeg(_scaled_down(image.convert("RGB"), longest), quality)


def size_of(rendition: Path) -> tuple[int, int]:
    """Width and height of a rendition of ours in pixels."""
    with Image.open(rendition, formats=["JPEG"]) as image:
        return image.size


def _scaled_down(image: Image.Image, longest: int) -> Image.Image:
    scale = longest / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    # The gap lets Pillow average whole blocks first: much faster on large scans, and it looks the same.
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
