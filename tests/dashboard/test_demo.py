"""What `recaption demo` brings along, and that a second one brings nothing twice."""

from collections.abc import Callable
from pathlib import Path

import pytest

from catalog import collections
from catalog.database import Database
from catalog.errors import InvalidInput
from catalog.schema import Collection
from catalog.settings import Settings
from dashboard import demo


def test_the_samples_are_photos_and_say_what_to_expect() -> None:
    photos = demo.photos_of(None)
    assert len(photos.files) == len(demo.SAMPLES)
    assert all(file.source.is_file() for file in photos.files)
    assert "unlike" in photos.guidelines


def test_a_folder_gives_the_collection_its_name(tmp_path: Path, photo: Callable[..., Path]) -> None:
    photo(tmp_path / "Holiday" / "one.jpg")
    photos = demo.photos_of(tmp_path / "Holiday")
    assert photos.name == "Holiday"
    assert [file.path for file in photos.files] == ["one.jpg"]


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no files"):
        demo.photos_of(tmp_path)


def test_a_second_demo_imports_only_what_is_new(
    tmp_path: Path,
    photo: Callable[..., Path],
    settings: Settings,
    database: Database,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "Holiday"
    photo(folder / "one.jpg", 1)
    (folder / "notes.txt").write_text("no photo")
    first = demo.import_photos(settings, database, demo.photos_of(folder))
    told = capsys.readouterr().out
    assert "left out notes.txt: not an image" in told
    assert "1 of 2 files" in told
    photo(folder / "two.jpg", 2)
    assert demo.import_photos(settings, database, demo.photos_of(folder)) == first
    with database.reading() as session:
        assert collections.summary(session, session.get_one(Collection, first)).total == 2


def test_every_start_gives_a_link_of_its_own_for_the_same_admin(database: Database) -> None:
    first, second = demo.login_secret(database), demo.login_secret(database)
    assert first != second
