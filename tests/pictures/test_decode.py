import struct
import threading
import warnings
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from pictures.decode import Picture, open_picture
from pictures.errors import CorruptPicture, PictureError
from pictures.opening import FORMATS

WHITE = (255, 255, 255)

UPRIGHT_TO_STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_accepted_format_is_read(name, scene, encode):
    picture = open_picture(encode(scene, name))
    assert (picture.format, picture.width, picture.height, picture.pages) == (name, 96, 64, 1)
    assert picture.notes == ()
    assert picture.pixels.shape == (64, 96, 3)
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.flags.c_contiguous
    assert picture.pixels.flags.writeable
    tolerance = 80 if name == "GIF" else 40
    assert np.abs(picture.pixels.astype(int) - np.asarray(scene)).max() < tolerance


def test_a_path_and_its_bytes_read_alike(photo):
    np.testing.assert_array_equal(open_picture(photo).pixels, open_picture(photo.read_bytes()).pixels)


@pytest.mark.parametrize("orientation", UPRIGHT_TO_STORED)
@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_exif_orientation_is_applied(orientation, name, scene, encode):
    method = UPRIGHT_TO_STORED[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    stored = scene.transpose(method) if method is not None else scene
    picture = open_picture(encode(stored, name, exif=exif))
    assert (picture.width, picture.height) == (96, 64)
    assert np.abs(picture.pixels.astype(int) - np.asarray(scene)).max() < 40


def test_tall_pictures_are_turned_upright_across_bands(monkeypatch, scene, encode):
    monkeypatch.setattr("pictures.rgb.BAND_PIXELS", 500)
    exif = Image.Exif()
    exif[274] = 6
    stored = scene.transpose(Image.Transpose.ROTATE_90)
    np.testing.assert_array_equal(open_picture(encode(stored, exif=exif)).pixels, np.asarray(scene))


@pytest.mark.parametrize("orientation", [0, 9, 60000])
def test_a_senseless_orientation_is_ignored(orientation, scene, encode):
    exif = Image.Exif()
    exif[274] = orientation
    np.testing.assert_array_equal(open_picture(encode(scene, exif=exif)).pixels, np.asarray(scene))


def test_a_broken_exif_block_costs_nothing_but_its_fields(scene, encode):
    data = encode(scene, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert open_picture(data).width == 96


@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight(name, encode):
    ramp = np.array([[0, 257, 257 * 100, 65535]], dtype=np.uint16)
    pixels = open_picture(encode(Image.fromarray(ramp), name)).pixels
    assert pixels[0].tolist() == [[0] * 3, [1] * 3, [100] * 3, [255] * 3]


def test_sixteen_bits_in_big_endian_are_scaled_alike():
    # Pillow writes no big-endian TIFF: 2 x 1 pixels, one strip behind the header.
    tags = [(256, 3, 2), (257, 3, 1), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 3, 1)]
    entries = b"".join(
        struct.pack(">HHI", tag, kind, 1) + struct.pack(">H2x" if kind == 3 else ">I", value)
        for tag, kind, value in [*tags, (279, 4, 4)]
    )
    data = b"MM\0*" + struct.pack(">I", 12) + struct.pack(">HH", 25700, 65535)
    data += struct.pack(">H", 8) + entries + struct.pack(">I", 0)
    assert open_picture(data).pixels[0].tolist() == [[100] * 3, [255] * 3]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([-2.0, 0.0, 2.0], [0, 128, 255]),
        ([np.nan, 0.0, 1.0], [0, 0, 255]),
        ([np.inf, 0.0, 1.0], [255, 0, 255]),
        ([7e7, 7e7, 7e7], [0, 0, 0]),
        ([-7.0, -7.0, -7.0], [0, 0, 0]),
        ([-3e38, 0.0, 3e38], [0, 128, 255]),
        ([3e38, 3e38, 3e38], [0, 0, 0]),
    ],
)
def test_float_pictures_are_scaled_from_their_range(values, expected, encode):
    data = encode(Image.fromarray(np.array([values], dtype=np.float32)), "TIFF")
    assert open_picture(data).pixels[0, :, 0].tolist() == expected


def test_signalling_nans_are_black_and_silent(encode):
    values = np.array([[0x7FA00000, 0x3F800000]], dtype=np.uint32).view(np.float32)
    assert open_picture(encode(Image.fromarray(values), "TIFF")).pixels[0, :, 0].tolist() == [0, 255]


def test_32_bit_integers_are_scaled_from_their_range(encode):
    data = encode(Image.fromarray(np.array([[-1000, 0, 1000]], dtype=np.int32)), "TIFF")
    assert open_picture(data).pixels[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(name, encode):
    data = encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), name)
    assert np.abs(open_picture(data).pixels[8, 8].astype(int) - [255, 0, 0]).max() < 5


def test_lab_becomes_rgb(encode):
    data = encode(Image.new("LAB", (4, 4), (255, 128, 128)), "TIFF")
    assert open_picture(data).pixels[0, 0].min() > 250


@pytest.mark.parametrize(
    ("mode", "colour"), [("RGBA", (200, 0, 0, 0)), ("LA", (10, 0)), ("RGBA", (255, 255, 255, 77))]
)
def test_transparent_pixels_become_white(mode, colour, encode):
    assert tuple(open_picture(encode(Image.new(mode, (4, 4), colour))).pixels[0, 0]) == WHITE


def test_half_transparent_pixels_are_mixed_with_white(encode):
    pixel = open_picture(encode(Image.new("RGBA", (4, 4), (0, 0, 0, 128)))).pixels[0, 0]
    assert tuple(pixel) == (127, 127, 127)


@pytest.mark.parametrize("name", ["PNG", "GIF"])
def test_a_transparent_palette_entry_becomes_white(name, encode):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putpixel((0, 0), 0)
    pixels = open_picture(encode(image, name, transparency=0)).pixels
    assert tuple(pixels[0, 0]) == WHITE
    assert tuple(pixels[3, 3]) == (10, 20, 30)


def test_a_transparent_colour_of_rgb_png_becomes_white(encode):
    data = encode(Image.new("RGB", (4, 4), (1, 2, 3)), transparency=(1, 2, 3))
    assert tuple(open_picture(data).pixels[0, 0]) == WHITE


def test_bilevel_becomes_black_and_white(encode):
    image = Image.new("1", (9, 2), 1)
    image.putpixel((0, 0), 0)
    pixels = open_picture(encode(image, "TIFF", compression="group4")).pixels
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels[0, 8].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("name", "unit"), [("TIFF", "page"), ("GIF", "frame"), ("WEBP", "frame"), ("PNG", "frame")]
)
def test_the_first_of_several_pages_is_taken_and_told(name, unit, encode):
    first, *others = (Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue"))
    picture = open_picture(encode(first, name, save_all=True, append_images=others))
    assert picture.pages == 3
    assert picture.notes == (f"{unit} 1 of 3",)
    assert picture.pixels[0, 0, 0] > 200
    assert picture.pixels[0, 0, 1] < 50


def test_a_damaged_second_page_does_not_lose_the_first(encode):
    pages = [Image.new("L", (8, 8), shade) for shade in (10, 200)]
    data = bytearray(encode(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    with Image.open(BytesIO(bytes(data))) as image:
        first_page_end = image.tag_v2._offset + 2 + 12 * len(image.tag_v2)
    data[first_page_end : first_page_end + 4] = struct.pack("<I", len(data) + 1000)
    assert open_picture(bytes(data)).pixels[0, 0, 0] == 10


def test_a_phones_picture_with_a_second_one_behind_is_a_jpeg(scene, encode):
    data = encode(scene, "MPO", save_all=True, append_images=[scene.resize((9, 6))])
    picture = open_picture(data, shortest=32)
    assert (picture.format, picture.pages, picture.notes) == ("JPEG", 1, ())


@pytest.mark.parametrize(
    ("shortest", "side"), [(None, 800), (801, 800), (800, 800), (400, 400), (150, 200), (10, 100)]
)
def test_jpeg_is_scaled_down_while_decoding_but_never_below_shortest(shortest, side, scene, encode):
    picture = open_picture(encode(scene.resize((1000, 800)), "JPEG"), shortest=shortest)
    assert (picture.width, picture.height) == (1000, 800)
    assert picture.pixels.shape == (side, side * 1000 // 800, 3)


def test_a_scaled_down_jpeg_is_turned_upright_too(scene, encode):
    exif = Image.Exif()
    exif[274] = 6
    stored = scene.resize((960, 640)).transpose(Image.Transpose.ROTATE_90)
    picture = open_picture(encode(stored, "JPEG", exif=exif), shortest=300)
    assert (picture.width, picture.height) == (960, 640)
    assert picture.pixels.shape == (320, 480, 3)


def test_shortest_below_one_pixel_is_a_mistake_of_the_caller(photo):
    with pytest.raises(ValueError, match="shortest is 0"):
        open_picture(photo, shortest=0)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_file_is_corrupt_and_never_patched_over(name, share, scene, encode):
    data = encode(scene.resize((300, 200)), name)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    with pytest.raises(CorruptPicture, match=r"damaged.*; copy or export it again"):
        open_picture(data[: int(len(data) * share)])


def test_a_truncated_jpeg_is_corrupt_when_scaled_down_too(photo, scene, encode):
    data = encode(scene.resize((1000, 800)), "JPEG")
    with pytest.raises(CorruptPicture):
        open_picture(data[: len(data) // 2], shortest=100)


def test_pillow_warns_nobody(scene, encode):
    data = bytearray(encode(scene, "PNG"))
    # An animation chunk of zero frames: Pillow warns "Invalid APNG".
    body = b"acTL" + struct.pack(">II", 0, 0)
    data[33:33] = struct.pack(">I", 8) + body + struct.pack(">I", zlib.crc32(body))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        open_picture(bytes(data))
    assert caught == []


def test_pillow_logs_nothing(scene, encode, caplog):
    data = bytearray(encode(scene, "TIFF"))
    samples_per_pixel = data.index(struct.pack("<HHI", 277, 3, 1)) + 8
    data[samples_per_pixel] = 200
    with pytest.raises(CorruptPicture):
        open_picture(bytes(data))
    assert caplog.records == []


def test_many_threads_decode_at_once(photo):
    expected = open_picture(photo).pixels
    results: list[Picture | PictureError] = []

    def decode() -> None:
        for source in (photo, photo.read_bytes()[:500], photo.read_bytes()):
            try:
                results.append(open_picture(source))
            except PictureError as error:
                results.append(error)

    threads = [threading.Thread(target=decode) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pictures = [result for result in results if isinstance(result, Picture)]
    assert (len(results), len(pictures)) == (24, 16)
    assert all(np.array_equal(picture.pixels, expected) for picture in pictures)


SMALL = Image.linear_gradient("L").resize((24, 16)).convert("RGB")


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped_bytes_give_a_picture_or_a_picture_error(name, flips, encode):
    data = bytearray(encode(SMALL, name))
    for position, value in flips:
        data[position % len(data)] = value
    # Any other exception, or a warning, fails this test.
    with suppress(PictureError):
        picture = open_picture(bytes(data), max_pixels=1_000_000)
        assert picture.pixels.shape[2] == 3


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_picture_error(data):
    with pytest.raises(PictureError):
        open_picture(data)


def test_messages_tell_no_folder(tmp_path: Path):
    (tmp_path / "cat.jpg").write_text("Dear diary")
    with pytest.raises(PictureError) as caught:
        open_picture(tmp_path / "cat.jpg")
    assert '"cat.jpg"' in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
