"""Hostile and odd files in the real decoding process: it answers every one of them, and goes on."""

import json
import os
import resource
import struct
import sys
import time
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pictures.errors import CorruptPicture, NotAnImage, PictureError, RefusedPicture, TooLarge
from pictures.sandbox import DecodingProcess
from tests.pictures.blocks import alt, iim, with_iim, with_xmp, xmp

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "JPEG2000", "HEIF"]
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def decoding():
    with DecodingProcess() as process:
        yield process


@pytest.fixture(params=FORMATS)
def format(request):
    if request.param == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    return request.param


def measured(decoding, tmp_path, data, name="file"):
    path = tmp_path / name
    path.write_bytes(data)
    return decoding.measure(path)


def rendered(found):
    return np.asarray(Image.open(BytesIO(found.rendition)).convert("RGB")).astype(int)


def peak_of(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(width, height, rows):
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def tiff_bomb():
    """A TIFF of 24,000 x 24,000 whose every strip is the same few bytes."""
    strip = zlib.compress(bytes(24_000 * 100 * 3), 9)
    count = 240
    tags = [
        (256, 4, 1, 24_000),
        (257, 4, 1, 24_000),
        (258, 3, 1, 8),
        (259, 3, 1, 8),
        (262, 3, 1, 2),
        (277, 3, 1, 3),
        (278, 4, 1, 100),
    ]
    offsets_at = 8 + 2 + 12 * (len(tags) + 2) + 4
    strip_at = offsets_at + 8 * count
    tags.insert(5, (273, 4, count, offsets_at))
    tags.append((279, 4, count, offsets_at + 4 * count))
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    arrays = struct.pack(f"<{count}I", *[strip_at] * count) + struct.pack(f"<{count}I", *[len(strip)] * count)
    return b"II*\0" + struct.pack("<I", 8) + directory + arrays + strip


def bombs(encode):
    return {
        "a flat PNG": encode(Image.new("L", (20_000, 20_000))),
        "a PNG of 100 gigapixels": png_of(1 << 20, 100_000, b"x" * 1000),
        "a TIFF with one strip for all": tiff_bomb(),
        "a flat WebP": encode(Image.new("RGB", (8_000, 8_000)), "WEBP", lossless=True, method=0),
        "a flat GIF": encode(Image.new("P", (8_000, 8_000)), "GIF"),
        "a flat JPEG 2000": encode(Image.new("L", (8_000, 8_000)), "JPEG2000"),
    }


def test_bombs_are_refused_before_they_unpack(tmp_path, encode, decoding):
    decoding.measure(_small(tmp_path, encode))
    before = peak_of(decoding.pid) if sys.platform == "linux" else 0
    for name, bomb in bombs(encode).items():
        assert len(bomb) < 400_000, name
        began = time.perf_counter()
        with pytest.raises((RefusedPicture, TooLarge)):
            measured(decoding, tmp_path, bomb)
        assert time.perf_counter() - began < 5, name
    if sys.platform == "linux":
        assert peak_of(decoding.pid) - before < 64 * MEBIBYTE


def _small(tmp_path, encode):
    path = tmp_path / "small.png"
    path.write_bytes(encode(Image.new("RGB", (8, 8))))
    return path


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_are_corrupt(share, format, scene, encode, tmp_path, decoding):
    data = encode(scene.resize((300, 200)), format)
    with pytest.raises((CorruptPicture, RefusedPicture)):
        measured(decoding, tmp_path, data[: int(len(data) * share)])


def zipped():
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("evil.txt", b"x" * 100)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "other",
    [zipped(), b"<!DOCTYPE html><script>alert(1)</script>", b"%PDF-1.7\n", b"\x7fELF" + bytes(200)],
    ids=["zip", "HTML", "PDF", "program"],
)
def test_a_polyglot_is_the_picture_or_nothing(other, scene, encode, tmp_path, decoding):
    found = measured(decoding, tmp_path, encode(scene, "JPEG") + other)
    assert (found.format, found.width, found.rendition[-2:]) == ("JPEG", 96, b"\xff\xd9")
    assert other not in found.rendition
    with pytest.raises(NotAnImage):
        measured(decoding, tmp_path, other + encode(scene, "JPEG"))


def test_html_in_a_comment_does_not_reach_the_rendition(scene, encode, tmp_path, decoding):
    found = measured(decoding, tmp_path, encode(scene, "JPEG", comment=b"<script>alert(1)</script>"))
    assert b"script" not in found.rendition


@pytest.mark.parametrize("name", ["photo.txt", "photo.exe", "photo", "photo.jpg.zip", "photo.xmp"])
def test_the_extension_decides_nothing(name, format, scene, encode, tmp_path, decoding):
    assert measured(decoding, tmp_path, encode(scene, format), name).format == format


@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled(name, encode, tmp_path, decoding):
    grey = Image.fromarray(np.full((40, 60), 0x8000, dtype=np.uint16))
    assert np.abs(rendered(measured(decoding, tmp_path, encode(grey, name))) - 128).max() <= 2


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(name, encode, tmp_path, decoding):
    cyan = Image.new("CMYK", (40, 60), (255, 0, 0, 0))
    red, green, blue = rendered(measured(decoding, tmp_path, encode(cyan, name)))[20, 20]
    assert red < 40 < 100 < min(green, blue)


@pytest.mark.parametrize("name", ["PNG", "WEBP", "TIFF", "AVIF", "JPEG2000"])
def test_transparency_becomes_white(name, encode, tmp_path, decoding):
    clear = Image.new("RGBA", (40, 60), (200, 0, 0, 0))
    assert rendered(measured(decoding, tmp_path, encode(clear, name))).min() > 250


STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED)
def test_all_eight_rotations_come_upright(orientation, scene, encode, tmp_path, decoding):
    turn = STORED[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    stored = scene if turn is None else scene.transpose(turn)
    found = measured(decoding, tmp_path, encode(stored, "JPEG", quality=95, exif=exif))
    assert (found.width, found.height) == scene.size
    corners = rendered(found)[[2, 2, -3], [2, -3, 2]]
    assert corners.argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "name",
    [
        "CON.jpg",
        "aux",
        "LPT1.tif",
        "a:b?.jpg",
        "trailing dot..",
        " ",
        "tab\tnew\nline\x1b[31m.jpg",
        "evil\u202egpj.exe",
        "\u2066isolated\u2069.jpg",
        "\U0001f305\u0301" * 20,
        "n" * 251 + ".jpg",
        "--version",
        "$(touch x).jpg",
        "caf\udce9.jpg",
    ],
)
def test_any_name_is_measured_and_printed_safely(name, scene, encode, tmp_path, decoding):
    if sys.platform == "darwin" and "\udce9" in name:
        pytest.skip("macOS refuses names that are not UTF-8")
    assert len(os.fsencode(name)) <= 255
    assert measured(decoding, tmp_path, encode(scene), name).width == 96
    with pytest.raises(NotAnImage) as refused:
        measured(decoding, tmp_path, b"no picture", name)
    assert "\x1b" not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "\u202e" not in str(refused.value)


def blocked(scene, encode, format):
    """A picture with every block of metadata that its format holds."""
    small = scene.resize((24, 16))
    packet = xmp(alt("dc:description", en="A mill", de="Die Mühle") + "<plus:DataMining>x</plus:DataMining>")
    if format == "JPEG":
        fields = iim(((2, 120), b"A mill"), ((2, 25), b"mill"))
        return with_iim(small, encode, format, fields, xmp=packet)
    return with_xmp(small, encode, format, packet)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(flips=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=12))
def test_flipped_bytes_are_answered(flips, format, scene, encode, tmp_path, decoding):
    data = bytearray(blocked(scene, encode, format))
    for position, value in flips:
        data[position % len(data)] = value
    try:
        found = measured(decoding, tmp_path, bytes(data))
        json.dumps(found.metadata)
        answer = "a picture"
    except PictureError as error:
        answer = str(error)
    assert "crashes the decoder" not in answer


HOSTILE_XMP = {
    "billion laughs": "<!DOCTYPE x [<!ENTITY a 'ha'>"
    + "".join(f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(9))
    + "]><x>&j;</x>",
    "external entity": "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><x>&a;</x>",
    "50 MB": "<x>" + " " * 50_000_000 + "</x>",
    "deep": "<x>" * 500_000,
    "wide": "<x>" + "<y/>" * 900_000 + "</x>",
}


@pytest.mark.parametrize("kind", HOSTILE_XMP)
@pytest.mark.parametrize("name", ["PNG", "TIFF", "GIF", "JPEG2000"])
def test_hostile_xmp_is_noted_and_its_picture_measured(kind, name, scene, encode, tmp_path, decoding):
    data = with_xmp(scene, encode, name, HOSTILE_XMP[kind].encode())
    decoding.measure(_small(tmp_path, encode))
    before, pid = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, decoding.pid
    began = time.perf_counter()
    found = measured(decoding, tmp_path, data)
    assert time.perf_counter() - began < 10
    # A GIF's packet is looked for in its first 16 MiB only.
    assert found.notes or (name, kind) == ("GIF", "50 MB")
    assert (found.width, found.captions) == (96, ())
    assert decoding.pid == pid
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * (1 if sys.platform == "darwin" else 1024) < 32 * MEBIBYTE


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_chunk_of_png_that_unpacks_without_end_is_answered(kind, scene, encode, tmp_path, decoding):
    packed = zlib.compress(bytes(200 * MEBIBYTE), 9)
    body = {
        b"zTXt": b"Comment\0\0" + packed,
        b"iTXt": b"XML:com.adobe.xmp\0\1\0\0\0" + packed,
        b"iCCP": b"icc\0\0" + packed,
    }[kind]
    data = encode(scene)
    decoding.measure(_small(tmp_path, encode))
    before = peak_of(decoding.pid) if sys.platform == "linux" else 0
    with pytest.raises(CorruptPicture):
        measured(decoding, tmp_path, data[:33] + png_chunk(kind, body) + data[33:])
    if sys.platform == "linux":
        assert peak_of(decoding.pid) - before < 64 * MEBIBYTE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's peak of memory")
def test_a_scan_of_115_megapixels_and_12_pages_is_measured_within_the_limits(tmp_path):
    rows, columns = 9_400, 12_288
    ramp = Image.linear_gradient("L").resize((columns, rows), Image.Resampling.NEAREST)
    scan = Image.merge("RGB", (ramp, ramp, ramp))
    del ramp
    path = tmp_path / "negative.tif"
    pages = [Image.new("RGB", (64, 48), (page * 20, 0, 0)) for page in range(11)]
    scan.save(path, save_all=True, append_images=pages)
    del scan
    assert path.stat().st_size > 340_000_000
    with DecodingProcess() as process:
        began = time.perf_counter()
        found = process.measure(path)
        seconds = time.perf_counter() - began
        peak = peak_of(process.pid)
    path.unlink()  # Or pytest would keep it for a while.
    print(f"{seconds:.1f} s, {peak / MEBIBYTE:.0f} MiB")  # Shown by pytest -s.
    assert (found.width, found.height, found.pages, found.notes) == (columns, rows, 12, ("page 1 of 12",))
    assert seconds < 30
    assert peak < 1536 * MEBIBYTE
