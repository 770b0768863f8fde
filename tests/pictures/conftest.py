from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Encode = Callable[..., bytes]


@pytest.fixture(scope="session")
def encode() -> Encode:
    """Encode a Pillow image in memory."""

    def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
        buffer = BytesIO()
        image.save(buffer, format, **options)
        return buffer.getvalue()

    return encoded


@pytest.fixture
def scene() -> Image.Image:
    """A small smooth picture, 96 x 64, with a red top left, green top right and blue bottom left corner."""
    down, across = np.mgrid[0:1:64j, 0:1:96j]
    red, green, blue = (1 - down) * (1 - across), (1 - down) * across, down * (1 - across)
    return Image.fromarray((np.stack([red, green, blue], axis=-1) * 255).astype(np.uint8))


@pytest.fixture
def photo(tmp_path: Path, scene: Image.Image, encode: Encode) -> Path:
    """The scene as a JPEG file."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(scene, "JPEG", quality=95))
    return path
