import io
import os
import struct
import zipfile
import zlib

import pytest
from PIL import Image

from pictures.decode import open_picture
from pictures.errors import CorruptPicture, NotAnImage, PictureError, RefusedPicture, TooLarge
from pictures.opening import label_of, opened


def png_header(width: int, height: int, padding: int = 0) -> bytes:
    """A PNG that announces a size and brings no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"x" * padding)


def test_a_bomb_is_refused_by_its_pixels_against_its_bytes(encode):
    bomb = encode(Image.new("L", (20_000, 20_000)))
    assert len(bomb) < 400_000
    with pytest.raises(RefusedPicture, match=r"20000 x 20000 pixels into 388,332 bytes"):
        open_picture(bomb)
    with pytest.raises(RefusedPicture):
        open_picture(bomb, max_pixels=1_000_000_000)


def test_size_is_checked_before_any_pixel_is_decoded():
    # Were a pixel decoded, this file would be corrupt instead.
    with pytest.raises(TooLarge, match=r"20000 x 15000 pixels, more than the limit of 200,000,000"):
        open_picture(png_header(20_000, 15_000, padding=2_000_000))


def test_the_limit_of_pixels_can_be_raised_past_pillows_own():
    with opened(png_header(20_000, 15_000, padding=2_000_000), max_pixels=300_000_000) as image:
        assert image.size == (20_000, 15_000)


def test_a_picture_of_exactly_the_limit_is_read(encode):
    data = encode(Image.new("L", (10, 10)))
    assert open_picture(data, max_pixels=100).width == 10
    with pytest.raises(TooLarge):
        open_picture(data, max_pixels=99)


def test_a_blank_bilevel_scan_is_no_bomb(encode):
    blank_a3_at_600_dpi = encode(Image.new("1", (7016, 9921), 1), "TIFF", compression="group4")
    with opened(blank_a3_at_600_dpi) as image:
        assert image.size == (7016, 9921)


def zip_archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("cat.jpg", b"cat")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "likeness"),
    [
        (b"", "is empty"),
        (zip_archive(), "a zip archive"),
        (b"Dear diary,\nno picture today.", "a text file"),
        ("Liebes Tagebuch: schöne Grüße".encode(), "a text file"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (bytes(5000), "zero bytes only"),
        (bytes(range(256)), "a file of an unknown kind"),
    ],
)
def test_what_is_no_picture_is_told_by_its_likeness(data, likeness):
    with pytest.raises(NotAnImage, match=likeness):
        open_picture(data)


@pytest.mark.parametrize("name", ["BMP", "ICO", "PPM", "EPS", "TGA"])
def test_formats_outside_the_list_are_not_opened(name, scene, encode):
    with pytest.raises(NotAnImage):
        open_picture(encode(scene, name))


def test_the_content_decides_and_not_the_extension(tmp_path, scene, encode):
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(encode(scene))
    assert open_picture(path).format == "PNG"


def test_a_picture_with_a_zip_behind_it_is_read_as_a_picture(scene, encode):
    assert open_picture(encode(scene, "JPEG") + zip_archive()).format == "JPEG"


def test_a_cut_header_is_corrupt_rather_than_no_image(scene, encode):
    with pytest.raises(CorruptPicture, match="begins as JPEG files do"):
        open_picture(encode(scene, "JPEG")[:20])


def test_a_missing_file_is_a_picture_error_that_says_so(tmp_path):
    with pytest.raises(PictureError, match=r'^"gone.jpg" cannot be opened: no such file') as caught:
        open_picture(tmp_path / "gone.jpg")
    assert caught.value.reason == "unreadable"


def test_folders_and_pipes_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path, tmp_path / "pipe.jpg"):
        with pytest.raises(PictureError, match="not a regular file"):
            open_picture(path)


def test_running_out_of_memory_is_refused(photo):
    with pytest.raises(RefusedPicture, match="more memory"), opened(photo):
        raise MemoryError


def test_labels_are_printable(tmp_path):
    assert label_of(tmp_path / "a\nb.jpg") == '"a\\nb.jpg"'
    assert label_of(tmp_path / "caf\udce9.jpg") == '"caf\ufffd.jpg"'
    assert label_of(tmp_path / "evil\u202egpj.exe") == '"evil\\u202egpj.exe"'
    assert label_of(b"") == "the given file"
