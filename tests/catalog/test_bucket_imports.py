"""Photos below a prefix of a bucket, imported one by one, with the captions among them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from catalog.commands import import_command
from catalog.database import Database
from catalog.errors import StorageUnavailable
from catalog.object_storage import Bucket, S3Account, S3Place
from catalog.schema import Caption, Item
from catalog.settings import load_settings

Photo = Callable[..., Path]
Filled = Callable[..., S3Place]


@pytest.fixture
def filled(place: S3Place, account: S3Account, tmp_path: Path, photo: Photo) -> Filled:
    """A function that puts photos and other files into the bucket, by their paths."""

    def fill(*paths: str, **texts: str) -> S3Place:
        bucket = Bucket(place, account)
        for number, path in enumerate(paths):
            bucket.create(path, photo(tmp_path / f"{number}.jpg", number).read_bytes())
        for name, text in texts.items():
            bucket.create(name.replace("_", "."), text.encode())
        return place

    return fill


@pytest.fixture
def environment(tmp_path: Path, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECAPTION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEYID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)


def imported(source: object) -> Result:
    return CliRunner().invoke(import_command, ["Harbour", str(source)])


def paths() -> list[str]:
    with Database(load_settings().database_url).reading() as session:
        return list(session.scalars(select(Item.path).order_by(Item.position)))


@pytest.mark.usefixtures("environment")
def test_photos_below_a_prefix_come_in_order_and_twice_adds_nothing(filled: Filled, tmp_path: Path) -> None:
    place = filled("b/2.jpg", "a.jpg", "b/späte Boote + 1%.jpg", ".hidden/x.jpg")
    for _ in range(2):
        answer = imported(place)
        assert answer.output == "3 of 3 files are in 'Harbour'\n"
        assert paths() == ["a.jpg", "b/2.jpg", "b/späte Boote + 1%.jpg"]
    assert imported(S3Place(place.bucket, f"{place.prefix}/b")).output.startswith("2 of 2")
    assert list((tmp_path / "home" / "cache").glob("import-*")) == []


@pytest.mark.usefixtures("environment")
def test_captions_in_the_bucket_come_along(filled: Filled) -> None:
    row = '{"path": "a.jpg", "captions": [{"text": "Two boats"}]}'
    assert imported(filled("a.jpg", "b.jpg", captions_jsonl=row)).output == "2 of 2 files are in 'Harbour'\n"
    with Database(load_settings().database_url).reading() as session:
        assert session.scalars(select(Caption.text)).all() == ["Two boats"]


@pytest.mark.usefixtures("environment")
def test_texts_beside_photos_come_along(filled: Filled) -> None:
    assert imported(filled("a.jpg", a_txt="Two boats")).output == "1 of 1 files are in 'Harbour'\n"
    with Database(load_settings().database_url).reading() as session:
        assert session.scalars(select(Caption.text)).all() == ["Two boats"]


@pytest.mark.usefixtures("environment")
def test_what_is_no_picture_is_reported_and_the_others_come(filled: Filled, tmp_path: Path) -> None:
    answer = imported(filled("a.jpg", notes_md="# Notes"))
    assert answer.exit_code == 1
    assert "notes.md: " in answer.output
    assert "1 of 2 files are in 'Harbour'" in answer.output


@pytest.mark.usefixtures("environment")
def test_photos_of_a_bucket_cannot_be_left_where_they_are(filled: Filled) -> None:
    refused = CliRunner().invoke(import_command, ["Harbour", str(filled("a.jpg")), "--reference"])
    assert "cannot be left where they are" in str(refused.exception)


@pytest.mark.usefixtures("environment")
def test_a_prefix_without_files_and_a_bucket_that_is_not_there_are_named(place: S3Place) -> None:
    assert "holds no files" in str(imported(place).exception)
    answer = imported("s3://nowhere-at-all/x")
    assert isinstance(answer.exception, StorageUnavailable)
    assert "no bucket 'nowhere-at-all'" in str(answer.exception)
    assert "no address of a bucket" in str(imported("s3://").exception)
