"""The folder that training reads: read by the captioner's own reader, and whole or not there."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from catalog.blobs.local import LocalBlobs
from catalog.blobs.s3 import S3Blobs
from catalog.errors import Conflict, InvalidInput, MissingBlob, StorageFull
from catalog.exports.training import TrainingPhoto, write_training_folder
from model.data import read_data
from tests.disks import fill_up

CAPTION = 'A “boat” says "hello",\nאבגד 🚤'


@pytest.fixture
def photos(blobs: LocalBlobs) -> list[TrainingPhoto]:
    """Three of the dataset, one of an earlier one and one that stands for the test."""

    def photo(name: str, split: str, source: str, *captions: str) -> TrainingPhoto:
        return TrainingPhoto(
            sha256=hashlib.sha256(name.encode()).hexdigest(),
            rendition=blobs.put(f"rendition of {name}".encode()),
            split=split,  # type: ignore[arg-type]
            captions=captions,
            source=source,  # type: ignore[arg-type]
        )

    return [
        photo("pier", "train", "dataset", CAPTION, "A pier."),
        photo("crane", "train", "dataset", "A crane."),
        photo("snow", "train", "replay", "A dog in snow."),
        photo("quay", "val", "dataset", "A quay."),
        photo("mole", "test", "dataset", " ".join(["mole"] * 500)),
    ]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_captioner_reads_every_photo_with_its_captions(
    blobs: LocalBlobs, photos: list[TrainingPhoto], tmp_path: Path
) -> None:
    counts = write_training_folder(blobs, photos, tmp_path / "data")
    assert counts == {"test": {"dataset": 1}, "train": {"dataset": 2, "replay": 1}, "val": {"dataset": 1}}
    data = read_data(tmp_path / "data")
    read = {example.path.stem: (split, example) for split in data.splits for example in data.split(split)}
    assert data.validation_split() == "val"
    for photo in photos:
        split, example = read[photo.sha256]
        assert (split, example.captions) == (photo.split, photo.captions)
        assert example.path.read_bytes() == blobs.read(photo.rendition)
        assert example.image_id == f"{photo.sha256}.jpg"


def test_each_entry_names_the_original_and_where_the_photo_came_from(
    blobs: LocalBlobs, photos: list[TrainingPhoto], tmp_path: Path
) -> None:
    write_training_folder(blobs, photos, tmp_path / "data")
    images = json.loads((tmp_path / "data/dataset.json").read_text(encoding="utf-8"))["images"]
    assert [(one["sha256"], one["source"]) for one in images] == [
        (photo.sha256, photo.source) for photo in photos
    ]


def test_a_golden_set_is_a_split_of_its_own(
    blobs: LocalBlobs, photos: list[TrainingPhoto], tmp_path: Path
) -> None:
    golden = [replace(photo, split="golden", source="golden") for photo in photos]
    assert write_training_folder(blobs, golden, tmp_path / "golden") == {"golden": {"golden": 5}}
    assert len(read_data(tmp_path / "golden").split("golden")) == 5


def test_the_same_photos_give_the_same_bytes_and_replace_what_was_there(
    blobs: LocalBlobs, photos: list[TrainingPhoto], tmp_path: Path
) -> None:
    write_training_folder(blobs, photos[:2], tmp_path / "one")
    for name in ("one", "other"):
        write_training_folder(blobs, photos, tmp_path / name)
    assert content(tmp_path / "one") == content(tmp_path / "other")
    assert len(content(tmp_path / "one")) == len(photos) + 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blobs", "one", "other"]


def test_a_bucket_gives_the_same_folder(
    blobs: LocalBlobs, s3_blobs: S3Blobs, photos: list[TrainingPhoto], tmp_path: Path
) -> None:
    for photo in photos:
        s3_blobs.put(blobs.read(photo.rendition))
    write_training_folder(blobs, photos, tmp_path / "disk")
    write_training_folder(s3_blobs, photos, tmp_path / "bucket")
    assert content(tmp_path / "disk") == content(tmp_path / "bucket")


def test_a_photo_may_come_twice_in_one_split_but_not_in_two(
    blobs: LocalBlobs, photos: list[TrainingPhoto], tmp_path: Path
) -> None:
    again = replace(photos[0], captions=("A wooden pier.",), source="replay")
    write_training_folder(blobs, [*photos, again], tmp_path / "data")
    assert len(read_data(tmp_path / "data").split("train")) == 4
    with pytest.raises(Conflict, match="stands in the splits train and test"):
        write_training_folder(blobs, [*photos, replace(again, split="test")], tmp_path / "data")
    assert len(read_data(tmp_path / "data").split("train")) == 4


@pytest.mark.parametrize("captions", [(), ("A pier.", " \n")])
def test_a_photo_without_a_caption_is_refused(
    blobs: LocalBlobs, photos: list[TrainingPhoto], tmp_path: Path, captions: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput, match="no caption or an empty one"):
        write_training_folder(blobs, [replace(photos[0], captions=captions)], tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_damaged_rendition_leaves_nothing(
    blobs: LocalBlobs, photos: list[TrainingPhoto], tmp_path: Path
) -> None:
    blobs.path(photos[3].rendition).write_bytes(b"something else")
    with pytest.raises(MissingBlob, match=photos[3].rendition):
        write_training_folder(blobs, photos, tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["blobs"]


def test_what_a_killed_process_had_begun_is_thrown_away(
    blobs: LocalBlobs, photos: list[TrainingPhoto], tmp_path: Path
) -> None:
    (tmp_path / ".data.part/images").mkdir(parents=True)
    (tmp_path / ".data.part/images/half.jpg").write_bytes(b"half")
    (tmp_path / ".data.old").mkdir()
    write_training_folder(blobs, photos, tmp_path / "data")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blobs", "data"]
    assert "images/half.jpg" not in content(tmp_path / "data")


def test_a_disk_that_fills_up_keeps_what_was_there_and_nothing_half(
    blobs: LocalBlobs, photos: list[TrainingPhoto], small_disk: Path
) -> None:
    folder = small_disk / "data"
    write_training_folder(blobs, photos[:1], folder)
    before = content(folder)
    large = [
        replace(photo, rendition=blobs.put(bytes([number]) * 60_000)) for number, photo in enumerate(photos)
    ]
    filler = fill_up(small_disk, but=100_000)
    with pytest.raises(StorageFull, match="small disk"):
        write_training_folder(blobs, large, folder)
    assert content(folder) == before
    assert sorted(path.name for path in small_disk.iterdir()) == ["data", "filler"]
    filler.unlink()
    write_training_folder(blobs, large, folder)
    assert len(content(folder)) == 6


def test_photos_are_taken_one_by_one(blobs: LocalBlobs, photos: list[TrainingPhoto], tmp_path: Path) -> None:
    def given() -> Iterator[TrainingPhoto]:
        for number, photo in enumerate(photos):
            assert len(list((tmp_path / ".data.part/images").iterdir())) == number
            yield photo

    write_training_folder(blobs, given(), tmp_path / "data")
