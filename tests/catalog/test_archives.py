"""Zips of photos: what gets in, what is refused, and that nothing leaves the staging folder."""

import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from catalog import collections
from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.errors import InvalidInput
from catalog.imports import archive
from catalog.imports.arrivals import arriving
from catalog.ingest import FileReport, ingest
from catalog.schema import Caption, Item
from pictures.sandbox import DecodingProcess

Photo = Callable[..., Path]
Imported = Callable[..., dict[str, str]]


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    return tmp_path / "staging"


@pytest.fixture
def imported(database: Database, blobs: BlobStore, decoder: DecodingProcess, staging: Path) -> Imported:
    """A function that imports a zip into a new collection and tells what became of each file."""

    def run(file: Path) -> dict[str, str]:
        with database.writing() as session:
            collection_id = collections.create(session, name="Harbour", owner=None).id
        arrival = arriving(file, staging=staging)
        reports: list[FileReport] = [*arrival.left_out]
        for report in ingest(database, blobs, decoder, collection_id, arrival.files):
            reports.append(report)
            assert len(list(staging.iterdir())) <= 1, "one member at a time"
        assert list(staging.iterdir()) == []
        return {report.path: report.status for report in reports}

    return run


@pytest.fixture
def jpeg(photo: Photo, tmp_path: Path) -> bytes:
    return photo(tmp_path / "a.jpg", 1).read_bytes()


def packed(file: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", compression) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return file


def test_a_zip_of_a_folder_with_its_captions(
    imported: Imported, database: Database, jpeg: bytes, photo: Photo, tmp_path: Path
) -> None:
    rows = [
        {"path": "old/mill.jpg", "captions": ["A mill"], "external_id": "7"},
        {"path": "boats.jpg", "captions": ["Boats", "More boats"]},
    ]
    members = {
        "harbour/boats.jpg": jpeg,
        "harbour/old/mill.jpg": photo(tmp_path / "b.jpg", 2).read_bytes(),
        "harbour/old/again.jpg": jpeg,
        "harbour/captions.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode(),
        "harbour/.DS_Store": b"x",
        "__MACOSX/harbour/._boats.jpg": b"x",
    }
    found = imported(packed(tmp_path / "harbour.zip", members))
    assert found == {"boats.jpg": "imported", "old/mill.jpg": "imported", "old/again.jpg": "duplicate"}
    with database.reading() as session:
        held = session.execute(select(Item.path, Item.external_id).order_by(Item.position)).all()
        texts = session.scalars(select(Caption.text).order_by(Caption.id)).all()
    assert [tuple(row) for row in held] == [
        ("old/mill.jpg", "7"),
        ("boats.jpg", None),
        ("old/again.jpg", None),
    ]
    assert texts == ["A mill", "Boats", "More boats"]


def test_texts_in_a_zip_are_captions_of_the_photos_beside_them(
    imported: Imported, database: Database, jpeg: bytes, tmp_path: Path
) -> None:
    found = imported(packed(tmp_path / "a.zip", {"boats.jpg": jpeg, "boats.txt": b"Two boats"}))
    assert found == {"boats.jpg": "imported"}
    with database.reading() as session:
        assert session.scalars(select(Caption.text)).all() == ["Two boats"]


def test_whatever_is_hostile_is_refused_by_itself(
    imported: Imported, jpeg: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "HARMLESS", 1 << 20)
    file = tmp_path / "mixed.zip"
    names = {
        "../up.jpg": "refused",
        "/etc/passwd.jpg": "refused",
        "C:\\boats.jpg": "refused",
        "bad\x01name.jpg": "refused",
        "inner.zip": "not an image",
        "note.jpg": "not an image",
        "empty.jpg": "not an image",
        "aux.jpg": "imported",
        "Gr\u00fc\u00dfe \U0001f305.jpg": "duplicate",
        "bomb.jpg": "refused",
        "link.jpg": "refused",
    }
    contents = {"inner.zip": packed(tmp_path / "i.zip", {"a.jpg": jpeg}).read_bytes(), "note.jpg": b"a note"}
    contents |= {"empty.jpg": b"", "bomb.jpg": bytes(4 << 20)}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.filename = name  # ZipInfo tidies some names up
            info.compress_type = zipfile.ZIP_DEFLATED
            if name == "link.jpg":
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            target.writestr(info, contents.get(name, jpeg))
    assert imported(file) == names
    assert not (tmp_path / "up.jpg").exists()


def test_an_encrypted_member_is_refused_by_its_entry(jpeg: bytes, tmp_path: Path) -> None:
    file = packed(tmp_path / "a.zip", {"open.jpg": jpeg, "secret.jpg": jpeg})
    content = bytearray(file.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # the flags of the last entry
    file.write_bytes(content)
    arrival = arriving(file, staging=tmp_path)
    assert [one.path for one in arrival.files] == ["open.jpg"]
    assert [(one.path, one.status) for one in arrival.left_out] == [("secret.jpg", "refused")]
    assert "without a password" in arrival.left_out[0].detail


def test_two_members_of_one_name_are_two_items(
    imported: Imported, database: Database, jpeg: bytes, photo: Photo, tmp_path: Path
) -> None:
    file = packed(tmp_path / "a.zip", {"boats.jpg": jpeg, "boats.txt": b"Boats"})
    with zipfile.ZipFile(file, "a") as target, pytest.warns(UserWarning, match="Duplicate"):
        target.writestr("boats.jpg", photo(tmp_path / "b.jpg", 2).read_bytes())
    imported(file)
    with database.reading() as session:
        assert session.scalars(select(Item.path)).all() == ["boats.jpg", "boats.jpg"]
        assert session.scalars(select(Caption.text)).all() == ["Boats", "Boats"]


@pytest.mark.parametrize("name", ["captions.json", "captions.txt", "captions.jsonl"])
def test_captions_that_cannot_be_unpacked_end_nothing_but_themselves(
    name: str, jpeg: bytes, tmp_path: Path
) -> None:
    text = json.dumps({"images": [], "filler": "x" * 400})
    file = packed(tmp_path / "a.zip", {"boats.jpg": jpeg, name: text.encode()}, zipfile.ZIP_STORED)
    file.write_bytes(file.read_bytes().replace(b"x" * 300, b"y" * 300, 1))
    assert [one.path for one in arriving(file, staging=tmp_path).files] == ["boats.jpg", name]


def test_a_damaged_member_is_corrupt_and_the_others_get_in(
    imported: Imported, jpeg: bytes, photo: Photo, tmp_path: Path
) -> None:
    other = photo(tmp_path / "b.jpg", 2).read_bytes()
    file = packed(tmp_path / "a.zip", {"one.jpg": jpeg, "two.jpg": other}, zipfile.ZIP_STORED)
    content = file.read_bytes()
    file.write_bytes(content.replace(jpeg[200:260], bytes(60), 1))
    assert imported(file) == {"one.jpg": "corrupt", "two.jpg": "imported"}


def test_all_members_together_may_not_unpack_without_end(
    imported: Imported, jpeg: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "HARMLESS_IN_ALL", 0)
    monkeypatch.setattr(archive, "MAX_RATIO", 3)
    members = {f"{number}.bin": bytes(100_000) for number in range(20)}
    found = imported(packed(tmp_path / "a.zip", {"0.jpg": jpeg, **members}))
    assert found["0.jpg"] == "imported"
    assert found["19.bin"] == "refused"


def test_members_that_overlap_are_refused_together(jpeg: bytes, tmp_path: Path) -> None:
    file = packed(tmp_path / "a.zip", {"one.jpg": jpeg, "two.jpg": jpeg}, zipfile.ZIP_STORED)
    with zipfile.ZipFile(file) as source:
        second = source.getinfo("two.jpg").header_offset
    content = bytearray(file.read_bytes())
    place = content.rindex(second.to_bytes(4, "little"), second + len(jpeg))
    content[place : place + 4] = (0).to_bytes(4, "little")
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match="overlaps"):
        arriving(file, staging=tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no zip at all"])
def test_what_is_no_zip_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"a\.zip"):
        arriving(file, staging=tmp_path)


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 9)
    file = packed(tmp_path / "a.zip", {f"{number}.jpg": b"" for number in range(10)})
    with pytest.raises(InvalidInput, match="10 files"):
        arriving(file, staging=tmp_path)


def test_ten_thousand_empty_members_are_no_hindrance(tmp_path: Path) -> None:
    file = packed(tmp_path / "a.zip", {f"{number}.jpg": b"" for number in range(10_000)})
    arrival = arriving(file, staging=tmp_path / "staging")
    assert len(arrival.files) == 10_000
    assert arrival.left_out == []
