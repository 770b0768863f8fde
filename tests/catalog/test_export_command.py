"""`recaption export`: of a collection as it is now, or of a dataset that was frozen from it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from catalog import captions, collections, datasets, ingest, items
from catalog.blobs.local import LocalBlobs
from catalog.database import Database
from catalog.errors import Conflict, InvalidInput, NotFound
from catalog.export_command import export_command
from catalog.ingest import pictures_of
from catalog.schema import Item
from model.data import read_data
from pictures.sandbox import DecodingProcess

Command = Callable[..., Result]


@pytest.fixture
def harbour(database: Database, blobs: LocalBlobs, photo: Callable[..., Path], tmp_path: Path) -> int:
    """A collection of five captioned photos that is frozen as boats@1; returns its id."""
    for number in range(5):
        photo(tmp_path / f"photos/{number}.jpg", number)
    with database.writing() as session:
        collection_id = collections.create(session, name="Harbour", owner=None).id
    with DecodingProcess() as decoder:
        list(ingest.ingest(database, blobs, decoder, collection_id, pictures_of(tmp_path / "photos")))
    with database.writing() as session:
        for item in session.query(Item).all():
            captions.write(session, items.get(session, item.id, viewer=None), text="A boat.", user=None)
    datasets.freeze(database, blobs, collection_id, "boats")
    return collection_id


@pytest.fixture
def command(
    database: Database, blobs: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    monkeypatch.setenv("RECAPTION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECAPTION_DATABASE_URL", database.url.render_as_string(hide_password=False))
    monkeypatch.setenv("RECAPTION_BLOBS", str(blobs.folder))

    def run(*arguments: str, output: str = "out") -> Result:
        return CliRunner().invoke(export_command, [*arguments, "--output", str(tmp_path / output)])

    return run


def test_a_dataset_is_exported_by_its_name_or_one_of_its_versions(
    harbour: int, database: Database, blobs: LocalBlobs, command: Command, tmp_path: Path
) -> None:
    with database.writing() as session:
        item = session.query(Item).first()
        assert item
        captions.write(session, items.get(session, item.id, viewer=None), text="A second boat.", user=None)
    assert datasets.freeze(database, blobs, harbour, "boats").version == 2
    for name, count in (("boats", 6), ("boats@2", 6), ("boats@1", 5)):
        told = command(name, "--format", "karpathy", output=name)
        assert (told.exit_code, told.output) == (0, f"{tmp_path / name} is written\n")
        data = read_data(tmp_path / name)
        assert sum(len(one.captions) for split in data.splits for one in data.split(split)) == count


def test_originals_or_no_images_are_exported_where_asked(
    harbour: int, command: Command, tmp_path: Path
) -> None:
    assert command("boats", "--format", "csv", "--originals", output="originals").exit_code == 0
    for number in range(5):
        original = tmp_path / f"photos/{number}.jpg"
        assert (tmp_path / "originals" / original.name).read_bytes() == original.read_bytes()
    assert command("boats", "--format", "csv", "--no-images", output="texts").exit_code == 0
    assert [path.name for path in (tmp_path / "texts").iterdir()] == ["captions.csv"]


def test_a_collection_is_exported_as_it_is_now(harbour: int, command: Command, tmp_path: Path) -> None:
    told = command("Harbour", "--format", "jsonl")
    assert told.output == f"{tmp_path / 'out/captions.jsonl'} is written\n"
    lines = (tmp_path / "out/captions.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["state"] for line in lines} == {"accepted"}
    for arguments, why in (
        (("--format", "coco"), "as jsonl or csv; freeze it to export it as coco"),
        (("--format", "csv", "--originals"), "captions alone are exported"),
    ):
        error = command("Harbour", *arguments, output="other").exception
        assert isinstance(error, InvalidInput)
        assert why in str(error)
    assert not (tmp_path / "other").exists()


def test_a_name_that_is_both_is_asked_about(
    harbour: int, database: Database, blobs: LocalBlobs, command: Command, tmp_path: Path
) -> None:
    datasets.freeze(database, blobs, harbour, "Harbour")
    error = command("Harbour", "--format", "csv").exception
    assert isinstance(error, Conflict)
    assert "'Harbour' is both a collection and a dataset; write 'Harbour@1'" in str(error)
    assert command("Harbour@1", "--format", "csv", output="dataset").exit_code == 0
    assert command("Harbour", "--format", "csv", "--collection", output="collection").exit_code == 0
    assert not (tmp_path / "collection/0.jpg").exists()
    assert (tmp_path / "dataset/0.jpg").exists()


@pytest.mark.parametrize("name", ["boots", "boats@7", "boats@x"])
def test_an_unknown_name_is_told(harbour: int, command: Command, name: str) -> None:
    error = command(name, "--format", "csv").exception
    assert isinstance(error, NotFound)
    assert f"{name!r} is neither the name of a collection nor of a dataset" in str(error)
