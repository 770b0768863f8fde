"""Imports in which hostile files lie beside honest ones: each is told apart, none ends the import."""

import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image as PillowImage
from sqlalchemy import select

from catalog import collections
from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.imports.arrivals import arriving
from catalog.ingest import FileReport, ingest
from catalog.schema import Item
from pictures.sandbox import DecodingProcess
from tests.pictures.blocks import xmp

Photo = Callable[..., Path]
Run = Callable[[Path], list[FileReport]]


@pytest.fixture
def imported(database: Database, blobs: BlobStore, decoder: DecodingProcess, tmp_path: Path) -> Run:
    """A function that imports a folder or zip into a new collection."""

    def run(source: Path) -> list[FileReport]:
        with database.writing() as session:
            collection_id = collections.create(session, name="Harbour", owner=None).id
        arrival = arriving(source, staging=tmp_path / "staging")
        return [*arrival.left_out, *ingest(database, blobs, decoder, collection_id, arrival.files)]

    return run


def encoded(image: PillowImage.Image, format: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def test_the_rest_of_a_hostile_batch_is_imported(imported: Run, photo: Photo, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    first, last = photo(folder / "a first.jpg", 1), photo(folder / "z last.jpg", 2)
    packet = b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"
    scene = PillowImage.linear_gradient("L")
    contents = {
        "bomb.png": (encoded(PillowImage.new("L", (20_000, 20_000)), "PNG"), "refused"),
        "cut.jpg": (first.read_bytes()[:-300], "corrupt"),
        "empty.tif": (b"", "not an image"),
        "page.jpg": (b"<!DOCTYPE html><script>alert(1)</script>", "not an image"),
        "polyglot.jpg": (last.read_bytes() + b"PK\x05\x06" + bytes(18), "imported"),
        "really a png.jpg": (encoded(scene, "PNG"), "imported"),
        "xmp.webp": (encoded(scene, "WEBP", xmp=packet), "imported"),
        "zeroes.png": (bytes(10_000), "not an image"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    reports = {report.path: report for report in imported(folder)}
    expected = {name: status for name, (_, status) in contents.items()}
    assert {path: report.status for path, report in reports.items()} == {
        **expected,
        "a first.jpg": "imported",
        "z last.jpg": "imported",
    }
    assert "document type" in reports["xmp.webp"].detail
    assert "400,000,000" not in reports["bomb.png"].detail
    assert "as decompression bombs do" in reports["bomb.png"].detail


def test_the_report_of_a_tiff_of_twelve_pages_says_which_one_was_taken(imported: Run, tmp_path: Path) -> None:
    pages = [PillowImage.new("RGB", (64, 48), (page * 20, 0, 0)) for page in range(12)]
    (tmp_path / "in").mkdir()
    pages[0].save(tmp_path / "in" / "box.tif", save_all=True, append_images=pages[1:])
    (report,) = imported(tmp_path / "in")
    assert (report.status, report.detail) == ("imported", "page 1 of 12")


NAMES = [
    "CON.jpg",
    "LPT1",
    "a:b?.jpg",
    "dots..",
    "evil\u202egpj.exe",
    "Gr\u00fc\u00dfe \u5199\u771f \U0001f305.jpg",
    "n" * 251 + ".jpg",
    "\u5199" * 83 + ".jpg",
    "--captions",
    "'; DROP TABLE items; --.jpg",
]


@pytest.mark.parametrize("packed", [False, True])
def test_items_keep_reserved_and_foreign_names(
    packed: bool, imported: Run, database: Database, photo: Photo, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    for number, name in enumerate(NAMES):
        photo(source / "photo.jpg", number).rename(source / name)
    if packed:
        with zipfile.ZipFile(tmp_path / "in.zip", "w") as target:
            for name in NAMES:
                target.writestr(f"box/{name}", (source / name).read_bytes())
        source = tmp_path / "in.zip"
    reports = imported(source)
    assert sorted(report.path for report in reports if report.stored) == sorted(NAMES)
    with database.reading() as session:
        assert sorted(session.scalars(select(Item.path))) == sorted(NAMES)


def test_control_characters_in_names_are_replaced(
    imported: Run, database: Database, photo: Photo, tmp_path: Path
) -> None:
    photo(tmp_path / "in" / "photo.jpg", 1).rename(tmp_path / "in" / "a\x1b[31m\nb.jpg")
    (report,) = imported(tmp_path / "in")
    assert (report.path, report.status) == ("a\ufffd[31m\ufffdb.jpg", "imported")


def test_ten_thousand_empty_entries_are_named_one_by_one(imported: Run, photo: Photo, tmp_path: Path) -> None:
    file = tmp_path / "in.zip"
    with zipfile.ZipFile(file, "w") as target:
        for number in range(10_000):
            target.writestr(f"{number:05}.jpg", b"")
        target.write(photo(tmp_path / "a.jpg", 1), "last.jpg")
        target.writestr("last.xmp", xmp(""))
    reports = imported(file)
    assert len(reports) == 10_001
    assert {report.status for report in reports[:-1]} == {"not an image"}
    assert (reports[-1].path, reports[-1].status) == ("last.jpg", "imported")
