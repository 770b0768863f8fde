import io

import numpy as np
import pytest
from PIL import Image

from pictures.renditions import MAX_BYTES, rendition


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((2048, 1024), (1024, 512)),
        ((1000, 3000), (341, 1024)),
        ((300, 200), (300, 200)),
        ((9000, 2), (1024, 1)),
    ],
)
def test_the_longest_side_is_scaled_down_but_never_up(size, expected):
    width, height = size
    assert decoded(rendition(np.zeros((height, width, 3), np.uint8))).size == expected


def test_a_rendition_looks_like_the_picture(scene):
    image = decoded(rendition(np.asarray(scene.resize((960, 640))), longest=96))
    assert image.format == "JPEG"
    assert np.abs(np.asarray(image).astype(int) - np.asarray(scene)).mean() < 4


def test_fine_patterns_are_averaged_rather_than_aliased():
    board = np.indices((600, 600)).sum(axis=0) % 2 * np.uint8(255)
    small = np.asarray(decoded(rendition(np.stack([board] * 3, axis=-1).astype(np.uint8), longest=100)))
    assert np.abs(small.astype(int) - 127).max() < 10


def test_a_rendition_carries_no_metadata(scene):
    image = decoded(rendition(np.asarray(scene)))
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert not image.getexif()


def test_quality_goes_down_until_the_rendition_is_small_enough():
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    assert len(rendition(noise)) <= MAX_BYTES
    dots = (noise[:, :, :1] > 127).repeat(3, axis=2) * np.uint8(255)
    assert len(rendition(dots)) <= MAX_BYTES
    mild = rendition(noise[:256, :256])
    assert mild == rendition(noise[:256, :256], quality=80)
    assert len(mild) > len(rendition(noise[:256, :256], quality=50))
