"""Turn a loaded Pillow image of any mode into an upright 8-bit RGB array, band by band to spare memory."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Pixels = NDArray[np.uint8]
"""(H, W, 3) RGB."""

BAND_PIXELS = 4_000_000


def upright_rgb(image: Image.Image, orientation: int = 1) -> Pixels:
    """Convert, composite on white and rotate as the EXIF orientation (1-8) says.

    Returns a new contiguous (H, W, 3) array. Peak memory is the image, the array and one band.
    """
    width, height = image.size
    convert = _converter(image)
    shape = (width, height, 3) if orientation >= 5 else (height, width, 3)
    pixels = np.empty(shape, dtype=np.uint8)
    as_stored = _as_stored(pixels, orientation)
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        as_stored[top:bottom] = convert(image.crop((0, top, width, bottom)))
    return pixels


def _as_stored(pixels: Pixels, orientation: int) -> Pixels:
    """A view of upright pixels in the file's order (EXIF 2.32, tag 0x0112): to write there is to rotate."""
    match orientation:
        case 2:
            return pixels[:, ::-1]
        case 3:
            return pixels[::-1, ::-1]
        case 4:
            return pixels[::-1]
        case 5:
            return pixels.swapaxes(0, 1)
        case 6:
            return np.rot90(pixels)
        case 7:
            return pixels[::-1, ::-1].swapaxes(0, 1)
        case 8:
            return np.rot90(pixels, -1)
    return pixels


def _converter(image: Image.Image) -> Callable[[Image.Image], NDArray[np.uint8]]:
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        low, high = _value_range(image)
        return lambda band: _scaled(band, low, high)
    if image.mode == "LAB":
        lab_to_rgb = ImageCms.buildTransform(
            ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
        )
        return lambda band: np.asarray(ImageCms.applyTransform(band, lab_to_rgb))
    if image.has_transparency_data:
        return _on_white
    return lambda band: np.asarray(band if band.mode == "RGB" else band.convert("RGB"))


def _on_white(band: Image.Image) -> NDArray[np.uint8]:
    rgba = band.convert("RGBA")
    white = Image.new("RGB", band.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return np.asarray(white)


def _scaled(band: Image.Image, low: float, high: float) -> NDArray[np.uint8]:
    with np.errstate(invalid="ignore"):  # Signalling NaNs, which damaged floats may be.
        values = np.asarray(band, dtype=np.float64)
    values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    scaled: Pixels = np.clip((values - low) * (255 / (high - low)) + 0.5, 0, 255).astype(np.uint8)
    return scaled[:, :, np.newaxis]


def _value_range(image: Image.Image) -> tuple[float, float]:
    """The values that become black and white: a usual range where the values fit one, else their extremes.

    Grey pictures deeper than 16 bits do not say what white is; 0-1 (float) and 0-65535 are the usual ranges.
    """
    if image.mode.startswith("I;16"):
        return 0.0, 65535.0
    finite_low, finite_high = _extremes(image)
    for usual_high in (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0,):
        if finite_low >= 0 and finite_high <= usual_high:
            return 0.0, usual_high
    # A flat picture is black, whatever its one value.
    return finite_low, finite_high if finite_high > finite_low else finite_low + abs(finite_low)


def _extremes(image: Image.Image) -> tuple[float, float]:
    values = np.asarray(image)
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
