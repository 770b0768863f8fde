import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from pictures.fingerprint import FLAT, dhash, sha256_of

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1


def test_bytes_files_and_streams_have_the_same_fingerprint(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(b"abc") == sha256_of(tmp_path / "abc") == sha256_of(io.BytesIO(b"abc")) == ABC


def test_large_streams_are_read_in_pieces():
    class Stream(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert 0 < size <= 1 << 20
            return super().read(size)

    data = bytes(range(256)) * 10_000
    assert sha256_of(Stream(data)) == sha256_of(data)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        sha256_of(tmp_path / "gone")


def hash_of(image: Image.Image) -> int:
    return dhash(np.asarray(image.convert("RGB")))


def distance(one: Image.Image, other: Image.Image) -> int:
    return ((hash_of(one) ^ hash_of(other)) & (1 << 64) - 1).bit_count()


@pytest.fixture
def view() -> Image.Image:
    """A view with light and dark places, and nothing regular about them."""
    coarse = np.random.default_rng(3).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)


def test_each_bit_is_one_step_between_neighbouring_areas():
    areas = np.zeros((8, 9), np.uint8)
    areas[0, 1:] = 200  # the first row rises once, at its first step
    areas[7, :8] = 200  # the last row falls at its last
    areas[1:7, ::2] = 90  # the others fall and rise in turns
    pixels = np.repeat(np.repeat(areas, 5, axis=0), 4, axis=1)[..., np.newaxis].repeat(3, axis=2)
    rows = ["10000000", *["01010101"] * 6, "00000000"]
    assert dhash(pixels) & (1 << 64) - 1 == int("".join(rows), 2)


def test_areas_share_the_pixels_that_lie_between_them():
    """A picture of fewer pixels than areas has the hash of the same picture with each pixel repeated."""
    small = np.random.default_rng(0).integers(0, 255, (5, 4, 3), dtype=np.uint8)
    large = small.repeat(8, axis=0).repeat(9, axis=1)
    assert dhash(small) == dhash(large) != FLAT


def test_a_hash_is_a_signed_64_bit_integer():
    noise = np.random.default_rng(0)
    hashes = [dhash(noise.integers(0, 255, (8, 9, 3), dtype=np.uint8)) for _ in range(50)]
    assert min(hashes) < 0 < max(hashes)
    assert all(-(1 << 63) <= one < 1 << 63 for one in hashes)


def test_copies_are_near_and_other_views_are_far(view, encode):
    copies = [
        view.resize((160, 120)),
        view.resize((480, 360)),
        view.convert("L"),
        ImageEnhance.Brightness(view).enhance(0.9),
        Image.open(io.BytesIO(encode(view, "JPEG", quality=40))),
    ]
    assert all(distance(view, copy) <= 4 for copy in copies)
    assert distance(view, view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) > 20
    assert distance(view, view.rotate(180)) > 10


@pytest.mark.parametrize("seed", range(5))
def test_blank_pages_are_flat_whatever_their_paper_light_and_noise(seed):
    noise = np.random.default_rng(seed)
    down, across = np.mgrid[-1:1:400j, -1:1:300j]
    page = 235 - 4 * (down**2 + across**2) + 3 * across + noise.normal(0, 3, down.shape)
    assert hash_of(Image.fromarray(page.clip(0, 255).astype(np.uint8))) == FLAT


def test_a_drawing_on_a_page_is_enough_to_tell_it():
    page = Image.new("RGB", (300, 400), (250, 248, 240))
    page.paste((20, 20, 20), (40, 60, 180, 200))
    assert hash_of(page) != FLAT
