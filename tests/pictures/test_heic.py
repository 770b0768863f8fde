"""HEIC, which an extra brings: with it, and without."""

import sys

import pytest

from pictures import opening
from pictures.decode import open_picture
from pictures.errors import CorruptPicture, NotAnImage
from pictures.sandbox import DecodingProcess

HEAD = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.fixture
def heic(scene, encode, tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    pillow_heif.register_heif_opener()
    path = tmp_path / "photo.heic"
    path.write_bytes(encode(scene, "HEIF", quality=90))
    return path


def test_a_heic_is_read_in_the_decoding_process(heic):
    with DecodingProcess() as decoding:
        measured = decoding.measure(heic)
    assert (measured.format, measured.width, measured.height, measured.pages) == ("HEIF", 96, 64, 1)


def test_a_damaged_heic_is_corrupt(heic):
    with pytest.raises(CorruptPicture, match="begins as HEIC files do"):
        open_picture(HEAD)
    with pytest.raises(CorruptPicture):
        open_picture(heic.read_bytes()[:-100])


def test_without_the_extra_a_heic_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    opening._reads_heic.cache_clear()
    try:
        with pytest.raises(
            NotAnImage, match=r'a HEIC picture; to read it, `pip install "recaption\[heic\]"`'
        ):
            open_picture(HEAD)
    finally:
        opening._reads_heic.cache_clear()
