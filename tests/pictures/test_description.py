"""What pictures say of themselves in EXIF, IPTC-IIM and XMP, and how the three are put together."""

import io
import json
import struct

import pytest
from PIL import Image

from pictures.description import describe
from pictures.packets import xmp_packet
from tests.pictures.blocks import alt, iim, with_iim, with_xmp, xmp


def texts(described):
    return [(one.text, one.language, one.kind) for one in described.captions]


FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "JPEG2000", "HEIF"]


@pytest.mark.parametrize("name", FORMATS)
def test_xmp_is_found_in_every_format(name, scene, encode):
    if name == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    body = (
        alt("dc:description", x_default="A mill", en="A mill", de="Eine Mühle")
        + alt("Iptc4xmpCore:AltTextAccessibility", en="A mill by the sea")
        + alt("Iptc4xmpCore:ExtDescrAccessibility", en="A white mill stands on a hill.")
        + alt("dc:title", x_default="Mill")
        + alt("dc:rights", x_default="(c) Museum")
        + alt("xmpRights:UsageTerms", x_default="No copies")
        + "<dc:creator><rdf:Seq><rdf:li>A. Smith</rdf:li></rdf:Seq></dc:creator>"
        + "<dc:subject><rdf:Bag><rdf:li>mill</rdf:li><rdf:li>sea</rdf:li></rdf:Bag></dc:subject>"
        + "<photoshop:City>Kiel</photoshop:City>"
        + "<plus:DataMining>http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED-AIMLTRAINING</plus:DataMining>"
    )
    found = describe(with_xmp(scene, encode, name, xmp(body)))
    assert texts(found) == [
        ("A mill", "en", "description"),
        ("Eine Mühle", "de", "description"),
        ("A white mill stands on a hill.", "en", "description"),
        ("A mill by the sea", "en", "alt"),
    ]
    assert found.metadata == {
        "title": "Mill",
        "city": "Kiel",
        "copyright": "(c) Museum",
        "usage_terms": "No copies",
        "data_mining": "http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED-AIMLTRAINING",
        "creator": ["A. Smith"],
        "keywords": ["mill", "sea"],
    }
    assert found.rights == "(c) Museum"
    assert found.training_prohibited
    assert found.notes == ()


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_iptc_is_read_in_its_character_set(name, scene, encode):
    fields = [
        ((1, 90), b"\x1b%G"),
        ((2, 5), b"Mill"),
        ((2, 25), b"mill"),
        ((2, 25), "Küste".encode()),
        ((2, 80), b"A. Smith"),
        ((2, 116), b"(c) Museum"),
        ((2, 120), "Eine Mühle\ram Meer".encode()),
    ]
    found = describe(with_iim(scene, encode, name, iim(*fields)))
    assert texts(found) == [("Eine Mühle\nam Meer", "und", "description")]
    assert found.metadata == {
        "title": "Mill",
        "keywords": ["mill", "Küste"],
        "creator": ["A. Smith"],
        "copyright": "(c) Museum",
    }
    assert found.rights == "(c) Museum"


@pytest.mark.parametrize(
    ("escape", "value"),
    [
        (b"\x1b%G", "Mühle“".encode()),
        (b"", "Mühle“".encode()),
        (b"", b"M\xfchle\x93"),
        (b"\x1b.A", b"M\xfchle"),
    ],
)
def test_texts_of_iptc_are_decoded_as_declared_or_as_likely(escape, value, scene, encode):
    fields = [((1, 90), escape)] if escape else []
    found = describe(with_iim(scene, encode, "JPEG", iim(*fields, ((2, 120), value))))
    assert texts(found)[0][0] in ("Mühle“", "Mühle")


@pytest.mark.parametrize(
    "block", [b"\x1c", b"\x1c\x02\x78\xff\xff\xff", b"\x1c\x02\x78\x84\xff\xff\xff\xff", b"junk!"]
)
def test_broken_iptc_says_nothing(block, scene, encode):
    assert describe(with_iim(scene, encode, "JPEG", block)).captions == ()


def exif_with(text):
    exif = Image.Exif()
    exif[270] = text
    return exif


def test_the_same_text_in_exif_iptc_and_xmp_is_one_caption(scene, encode):
    jpeg = encode(scene, "JPEG", exif=exif_with("A mill"), xmp=xmp(alt("dc:description", en="A mill")))
    block = iim(((2, 120), b"A mill"))
    body = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(block)) + block + b"\0"
    jpeg = jpeg[:2] + b"\xff\xed" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]
    assert texts(describe(jpeg)) == [("A mill", "en", "description")]


def test_xmp_speaks_before_exif_and_what_exif_said_is_kept_aside(scene, encode):
    jpeg = encode(scene, "JPEG", exif=exif_with("An old mill"), xmp=xmp(alt("dc:description", en="A mill")))
    found = describe(jpeg)
    assert texts(found) == [("A mill", "en", "description")]
    assert found.metadata["description"] == "An old mill"


@pytest.mark.parametrize(
    "text",
    [
        "OLYMPUS DIGITAL CAMERA         ",
        "SONY DSC",
        "DCIM\\100MEDIA",
        "DSC_0042.JPG",
        "IMG_2041",
        "Exif_JPEG_PICTURE",
        " ",
    ],
)
def test_what_cameras_write_by_themselves_is_no_caption(text, scene, encode):
    found = describe(encode(scene, "JPEG", exif=exif_with(text)))
    assert (found.captions, found.metadata) == ((), {})


def test_what_people_write_about_cameras_is_a_caption(scene, encode):
    text = "Samsung workers with a digital camera, 2004"
    found = describe(encode(scene, "JPEG", exif=exif_with(text)))
    assert texts(found) == [(text, "und", "description")]


def test_a_sidecar_wins_property_by_property(scene, encode, tmp_path):
    inside = alt("dc:description", en="A mill") + alt("dc:title", en="Mill") + alt("dc:rights", en="theirs")
    beside = tmp_path / "photo.xmp"
    beside.write_bytes(xmp(alt("dc:description", de="Eine Mühle") + alt("dc:rights", en="ours")))
    found = describe(encode(scene, "JPEG", xmp=xmp(inside), exif=exif_with("EXIF")), sidecar=beside)
    assert texts(found) == [("Eine Mühle", "de", "description")]
    assert (found.rights, found.metadata["title"]) == ("ours", "Mill")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", b"<a>" + b" " * 5_000_000]
)
def test_a_sidecar_that_cannot_be_read_is_told_and_the_picture_speaks(content, scene, encode, tmp_path):
    beside = tmp_path / "photo.xmp"
    beside.write_bytes(content)
    found = describe(encode(scene, "JPEG", xmp=xmp(alt("dc:description", en="A mill"))), sidecar=beside)
    assert found.sidecar_error
    assert texts(found) == [("A mill", "en", "description")]


def test_a_sidecar_that_is_gone_is_told(scene, encode, tmp_path):
    assert "cannot be read" in str(describe(encode(scene), sidecar=tmp_path / "gone.xmp").sidecar_error)


def test_a_packet_that_cannot_be_read_is_noted_and_its_prohibition_heard(scene, encode):
    found = describe(encode(scene, "JPEG", xmp=xmp("<plus:DataMining>DMI-PROHIBITED</plus:DataMining>")[:-5]))
    assert found.notes[0].startswith("its XMP is no XML")
    assert found.training_prohibited
    assert not describe(encode(scene, "JPEG", xmp=b"<cut")).training_prohibited


@pytest.mark.parametrize(
    ("value", "prohibited"),
    [
        ("DMI-UNSPECIFIED", False),
        ("DMI-ALLOWED", False),
        ("DMI-PROHIBITED", True),
        ("DMI-PROHIBITED-AIMLTRAINING", True),
        ("DMI-PROHIBITED-GENAIMLTRAINING", True),
        ("DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING", True),
        ("DMI-PROHIBITED-SEECONSTRAINT", True),
        ("DMI-PROHIBITED-SEEEMBEDDEDRIGHTSEXPR", True),
        ("DMI-PROHIBITED-SEELINKEDRIGHTSEXPR", True),
        ("DMI-WHATEVER-COMES-LATER", True),
        ("no", True),
    ],
)
@pytest.mark.parametrize("prefix", ["http://ns.useplus.org/ldf/vocab/", ""])
def test_only_what_is_allowed_or_left_open_may_be_trained_on(prefix, value, prohibited, scene, encode):
    for body in (
        f"<plus:DataMining>{prefix}{value}</plus:DataMining>",
        f'<plus:DataMining rdf:resource="{prefix}{value}"/>',
    ):
        assert describe(encode(scene, "JPEG", xmp=xmp(body))).training_prohibited is prohibited


def test_a_picture_that_says_nothing_may_be_trained_on(scene, encode):
    found = describe(encode(scene))
    assert (found.training_prohibited, found.captions, found.metadata, found.rights) == (False, (), {}, None)


def test_metadata_stays_small_whatever_a_file_brings(scene, encode, tmp_path):
    beside = tmp_path / "photo.xmp"
    words = "".join(f"<rdf:li>{n}{'𝕏' * 900}</rdf:li>" for n in range(300))
    names = ("photoshop:City", "photoshop:State", "photoshop:Country", "dc:title", "photoshop:Credit")
    long = "".join(f"<{name}>{'𝕏' * 9000}</{name}>" for name in names)
    beside.write_bytes(xmp(f"<dc:subject><rdf:Bag>{words}</rdf:Bag></dc:subject>" + long))
    found = describe(encode(scene), sidecar=beside)
    assert 0 < len(json.dumps(found.metadata)) < 60_000


def test_a_jpeg2000_with_senseless_boxes_has_no_packet(scene, encode):
    for tail in (
        b"\0\0\0\x01uuid",
        b"\0\0\0\x03uuid" + bytes(40),
        struct.pack(">I", 9) + b"uuidx",
        b"\0\0\0\0uuid",
    ):
        with Image.open(io.BytesIO(encode(scene, "JPEG2000") + tail)) as image:
            assert not xmp_packet(image)
