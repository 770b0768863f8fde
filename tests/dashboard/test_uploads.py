"""Uploads: good files in, bad files named with the reason, nothing else harmed."""

import io
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Picture

from catalog.settings import Settings
from catalog.text import storable
from dashboard.uploads import item_path
from tests.dashboard.conftest import jpeg
from tests.dashboard.visitor import Visitor


def a_zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("photo.jpg", jpeg())
    return stream.getvalue()


def a_huge_png() -> bytes:
    stream = io.BytesIO()
    Picture.new("1", (20_000, 20_000)).save(stream, "PNG")
    return stream.getvalue()


def test_each_file_gets_a_report_of_its_own(admin: Visitor, collection: int) -> None:
    files = {
        "a/good.jpg": jpeg(1),
        "a/same.jpg": jpeg(1),
        "truncated.jpg": jpeg(2)[:-200],
        "text.jpg": b"These are words, not a photo.",
        "zip.jpg": a_zip(),
        "empty.jpg": b"",
        "b/good.jpg": jpeg(3),
    }
    streams = [(io.BytesIO(data), name) for name, data in files.items()]
    answer = admin.upload(collection, *streams)
    assert answer.status_code == 200
    reports = {report["path"]: report["status"] for report in answer.json["files"]}
    assert reports == {
        "a/good.jpg": "imported",
        "a/same.jpg": "duplicate",
        "truncated.jpg": "corrupt",
        "text.jpg": "not an image",
        "zip.jpg": "not an image",
        "empty.jpg": "not an image",
        "b/good.jpg": "imported",
    }
    assert all(report["detail"] for report in answer.json["files"] if not report["stored"])
    assert admin.call("GET", f"/collections/{collection}").json["total"] == 3


def test_a_zip_is_unpacked_and_its_files_are_reported(admin: Visitor, collection: int) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("harbour/boats.jpg", jpeg(1))
        archive.writestr("harbour/old/mill.jpg", jpeg(2))
        archive.writestr("harbour/old/mill.txt", "A mill")
        archive.writestr("../up.jpg", jpeg(3))
    files = [(stream.getvalue(), "harbour.zip"), (b"PK\x03\x04 cut", "cut.zip"), (jpeg(4), "pier.jpg")]
    answer = admin.upload(collection, *((io.BytesIO(data), name) for data, name in files))
    assert {report["path"]: report["status"] for report in answer.json["files"]} == {
        "../up.jpg": "refused",
        "boats.jpg": "imported",
        "old/mill.jpg": "imported",
        "cut.zip": "refused",
        "pier.jpg": "imported",
    }
    items = admin.call("GET", f"/collections/{collection}/items").json["items"]
    assert [item["caption"] and item["caption"]["text"] for item in items] == ["A mill", None, None]
    page = admin.get(f"/items/{items[0]['item']['id']}").text
    assert "imported it" in page
    assert "the command line" not in page


def test_a_picture_beyond_the_limit_of_pixels_is_refused(admin: Visitor, collection: int) -> None:
    answer = admin.upload(collection, (io.BytesIO(a_huge_png()), "huge.png"))
    (report,) = answer.json["files"]
    assert not report["stored"]
    assert report["status"] in ("too large", "refused")


def test_uploading_again_adds_nothing(admin: Visitor, collection: int) -> None:
    for wanted in ("imported", "already here"):
        answer = admin.upload(collection, (io.BytesIO(jpeg()), "one.jpg"))
        assert answer.json["files"][0]["status"] == wanted
    assert admin.call("GET", f"/collections/{collection}").json["total"] == 1


def test_uploaded_pictures_are_shown_upright_and_without_metadata(admin: Visitor, collection: int) -> None:
    stream = io.BytesIO()
    exif = Picture.Exif()
    exif[274], exif[270] = 6, "taken at home"
    Picture.new("RGB", (96, 64), "teal").save(stream, "JPEG", exif=exif)
    stream.seek(0)
    (report,) = admin.upload(collection, (stream, "turned.jpg")).json["files"]
    rendition = admin.get(f"/items/{report['item_id']}/picture").data
    assert Picture.open(io.BytesIO(rendition)).size == (64, 96)
    assert b"taken at home" not in rendition


def test_nothing_staged_is_left_behind(admin: Visitor, collection: int, settings: Settings) -> None:
    admin.upload(collection, (io.BytesIO(jpeg()), "one.jpg"), (io.BytesIO(b"text"), "two.jpg"))
    assert list(settings.cache.iterdir()) == []


def test_an_upload_without_files_is_refused(admin: Visitor, collection: int) -> None:
    assert admin.upload(collection).status_code == 422


def test_a_request_beyond_the_limit_of_bytes_says_what_to_do(
    admin: Visitor, collection: int, app: Callable
) -> None:
    admin.application.config["MAX_CONTENT_LENGTH"] = 1_000
    answer = admin.upload(collection, (io.BytesIO(b"x" * 2_000), "big.jpg"))
    assert answer.status_code == 413
    assert answer.mimetype == "application/problem+json"
    assert "fewer or smaller" in answer.json["detail"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("/absolute/photo.jpg", "absolute/photo.jpg"),
        ("C:\\Photos\\one.jpg", "C:/Photos/one.jpg"),
        ("a/./b/../c.jpg", "a/b/c.jpg"),
        ("new\nline.jpg", "newline.jpg"),
        ("..", "unnamed"),
        (None, "unnamed"),
    ],
)
def test_paths_are_relative_and_never_lead_upwards(name: str | None, path: str) -> None:
    assert item_path(name) == path


@given(st.text())
def test_any_name_makes_a_path_that_is_relative_and_storable(name: str) -> None:
    path = item_path(name)
    assert path
    assert not path.startswith("/")
    assert storable(path) == path
    assert not {"", ".", ".."} & set(path.split("/"))
    assert item_path(path) == path
