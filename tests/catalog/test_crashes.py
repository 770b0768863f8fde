"""A process that dies between a blob and its row, and whole installations over each store."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from catalog import doctor
from catalog.blobs import BlobStore, open_blobs
from catalog.commands import (
    backup_command,
    delete_command,
    doctor_command,
    import_command,
    restore_command,
)
from catalog.database import Database
from catalog.export_command import export_command
from catalog.object_storage import S3Place
from catalog.schema import Image, Item
from catalog.settings import Settings, load_settings

Photo = Callable[..., Path]

# Imports, and dies at once when a row is about to be written for blobs that are stored.
DYING = """
import os, sys
from catalog import ingest
from catalog.commands import import_command

ingest._image = lambda *_, **__: os._exit(9)
import_command(sys.argv[1:])
"""


@pytest.fixture(params=["local disk", "bucket"])
def settings(
    request: pytest.FixtureRequest, tmp_path: Path, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """An installation that this process's environment names."""
    monkeypatch.setenv("RECAPTION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEYID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    if request.param == "bucket":
        monkeypatch.setenv("RECAPTION_BLOBS", str(request.getfixturevalue("place")))
    return load_settings()


@pytest.fixture
def blobs_here(settings: Settings) -> BlobStore:
    return open_blobs(settings)


def said(command: Callable[..., object], *arguments: object, exit_code: int = 0) -> str:
    answer = CliRunner().invoke(command, [str(one) for one in arguments])  # type: ignore[arg-type]
    assert answer.exit_code == exit_code, answer.output
    return answer.output


def paths(settings: Settings) -> list[str]:
    with Database(settings.database_url).reading() as session:
        return list(session.scalars(select(Item.path).order_by(Item.path)))


def test_what_a_killed_import_stored_is_found_and_the_import_goes_on(
    settings: Settings,
    blobs_here: BlobStore,
    photo: Photo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photo(tmp_path / "photos" / "boats.jpg")
    dying = subprocess.run([sys.executable, "-c", DYING, "Harbour", str(tmp_path / "photos")])
    assert dying.returncode == 9
    assert paths(settings) == []
    stored = set(blobs_here.keys())
    assert len(stored) == 2, "an original and its rendition without a row"
    assert "0 problems" in said(doctor_command), "they may belong to an import that runs now"
    monkeypatch.setattr(doctor, "ORPHAN_AGE", -60.0)
    assert "2 problems found, 2 repaired" in said(doctor_command, "--repair")
    assert list(blobs_here.keys()) == []
    said(import_command, "Harbour", tmp_path / "photos")
    assert paths(settings) == ["boats.jpg"]


def test_an_import_after_a_killed_one_takes_up_what_lies_there(
    settings: Settings, blobs_here: BlobStore, photo: Photo, tmp_path: Path
) -> None:
    photo(tmp_path / "photos" / "boats.jpg")
    subprocess.run([sys.executable, "-c", DYING, "Harbour", str(tmp_path / "photos")])
    stored = set(blobs_here.keys())
    said(import_command, "Harbour", tmp_path / "photos")
    assert paths(settings) == ["boats.jpg"]
    assert set(blobs_here.keys()) == stored
    assert "0 problems" in said(doctor_command)


def test_damage_and_loss_are_found_and_renditions_made_again(
    settings: Settings, blobs_here: BlobStore, photo: Photo, tmp_path: Path
) -> None:
    for number in range(3):
        photo(tmp_path / "photos" / f"{number}.jpg", number)
    said(import_command, "Harbour", tmp_path / "photos")
    with Database(settings.database_url).reading() as session:
        images = session.scalars(select(Image).order_by(Image.id)).all()
    blobs_here.delete(images[0].rendition)
    blobs_here.delete(images[1].sha256)
    blobs_here.set_aside(images[2].rendition)
    assert "3 problems found, 2 repaired" in said(doctor_command, "--repair", exit_code=1)
    said(import_command, "Harbour", tmp_path / "photos")
    assert "0 problems" in said(doctor_command)


def test_a_backup_moves_from_any_store_to_any_other(
    settings: Settings,
    blobs_here: BlobStore,
    photo: Photo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photo(tmp_path / "photos" / "boats.jpg")
    said(import_command, "Harbour", tmp_path / "photos")
    said(backup_command, tmp_path / "backup.tar")
    said(export_command, "Harbour", "--format", "jsonl", "--output", tmp_path / "before")
    elsewhere = str(tmp_path / "blobs")
    if isinstance(settings.blobs, S3Place):
        moved = [elsewhere, f"s3://{settings.blobs.bucket}/elsewhere"]
    else:
        moved = [elsewhere]
    for number, target in enumerate(moved):
        monkeypatch.setenv("RECAPTION_HOME", str(tmp_path / f"home {number}"))
        monkeypatch.setenv("RECAPTION_BLOBS", target)
        assert "2 stored files are restored" in said(restore_command, tmp_path / "backup.tar")
        assert "0 problems" in said(doctor_command)
        there = open_blobs(load_settings())
        assert sorted(there.keys()) == sorted(blobs_here.keys())
        said(export_command, "Harbour", "--format", "jsonl", "--output", tmp_path / f"after {number}")
        after = (tmp_path / f"after {number}" / "captions.jsonl").read_bytes()
        assert after == (tmp_path / "before" / "captions.jsonl").read_bytes()


def test_what_is_deleted_takes_its_blobs_along(
    settings: Settings, blobs_here: BlobStore, photo: Photo, tmp_path: Path
) -> None:
    photo(tmp_path / "photos" / "boats.jpg")
    said(import_command, "Harbour", tmp_path / "photos")
    assert "2 stored files were removed" in said(delete_command, "Harbour", "--yes")
    assert list(blobs_here.keys()) == []
