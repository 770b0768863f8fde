import json

import pytest
from PIL import Image

from pictures.metadata import MAX_CHARACTERS, exif_description, exif_metadata, lines
from pictures.opening import opened


def read_metadata(data):
    with opened(data) as image:
        return exif_metadata(image)


def with_exif(fields, details=(), gps=()):
    exif = Image.Exif()
    exif.update(fields)
    for block, values in ((0x8769, details), (0x8825, gps)):
        exif.get_ifd(block).update(values)
        exif[block] = exif.get_ifd(block)
    return exif


@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_descriptive_fields_are_read_and_positions_are_not(name, scene, encode):
    exif = with_exif(
        {271: "Leica", 272: "M6", 315: "A. Photographer", 33432: "(c) The archive"},
        {36867: "1998:07:04 12:30:15", 36881: "+02:00"},
        {1: "N", 2: (53.0, 33.0, 4.0)},
    )
    assert read_metadata(encode(scene, name, exif=exif)) == {
        "camera_make": "Leica",
        "camera_model": "M6",
        "artist": "A. Photographer",
        "copyright": "(c) The archive",
        "captured": "1998-07-04T12:30:15+02:00",
    }


def test_a_picture_without_fields_has_none(scene, encode):
    assert read_metadata(encode(scene)) == {}


@pytest.mark.parametrize("taken_at", ["0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday"])
def test_a_senseless_capture_time_is_left_out(taken_at, scene, encode):
    assert read_metadata(encode(scene, exif=with_exif({}, {36867: taken_at}))) == {}


def test_texts_are_bounded_and_printable(scene, encode):
    exif = with_exif(
        {272: "x" * 9000, 315: "Jo\x07hn\r\nDoe\x1b[31m", 33432: "photographer\0editor", 271: "   "}
    )
    metadata = read_metadata(encode(scene, exif=exif))
    assert metadata["camera_model"] == "x" * MAX_CHARACTERS
    assert metadata["artist"] == "Jo hn Doe [31m"
    assert "camera_make" not in metadata
    json.dumps(metadata)


def test_utf8_that_cameras_write_into_ascii_fields_is_read(scene, encode):
    exif = with_exif({315: "Zoë Łuk".encode(), 271: "caf\xe9".encode("latin-1")})
    metadata = read_metadata(encode(scene, "JPEG", exif=exif))
    assert metadata == {"artist": "Zoë Łuk", "camera_make": "café"}


def test_a_description_keeps_its_lines(scene, encode):
    with opened(encode(scene, exif=with_exif({270: "A mill\r\nby the \u202esea".encode()}))) as image:
        assert lines(exif_description(image), 100) == "A mill\nby the  sea"


def test_a_broken_exif_block_has_no_fields(scene, encode):
    assert read_metadata(encode(scene, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")) == {}
