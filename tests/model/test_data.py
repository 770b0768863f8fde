"""Layouts of photos with captions."""

import json
from pathlib import Path

import pytest

from model.data import content_hashes, data_hash, read_data, refuse_same_bytes
from model.errors import DataError


def _photos(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def _flickr8k(folder: Path, captions: str, **splits: str) -> Path:
    _photos(folder / "Images", "1.jpg", "2.jpg", "3.jpg")
    (folder / "captions.txt").write_text(captions)
    for split, names in splits.items():
        (folder / f"{split}.txt").write_text(names)
    return folder


CAPTIONS = 'image,caption\n1.jpg,A dog .\n1.jpg,"A dog, again"\n2.jpg,A cat .\n3.jpg,A hat .\n'


def test_the_flickr8k_layout_is_read_by_split(tmp_path: Path) -> None:
    data = read_data(_flickr8k(tmp_path, CAPTIONS, train="1.jpg\n2.jpg\n", dev="3.jpg\n"))
    assert [example.path.name for example in data.split("train")] == ["1.jpg", "2.jpg"]
    assert data.split("train")[0].captions == ("A dog .", "A dog, again")
    assert data.validation_split() == "dev"


def test_without_lists_everything_is_for_training(tmp_path: Path) -> None:
    data = read_data(_flickr8k(tmp_path, CAPTIONS))
    assert len(data.split("train")) == 3
    with pytest.raises(DataError, match="no split to validate on"):
        data.validation_split()


def test_a_karpathy_json_is_read_and_restval_is_for_training(tmp_path: Path) -> None:
    _photos(tmp_path, "val2014/1.jpg", "images/2.jpg")
    images = [
        {"filename": "1.jpg", "filepath": "val2014", "split": "restval", "sentences": [{"raw": "A dog."}]},
        {"filename": "2.jpg", "split": "val", "sentences": [{"raw": "A cat."}, {"raw": "Cats."}]},
    ]
    (tmp_path / "dataset.json").write_text(json.dumps({"images": images}))
    data = read_data(tmp_path)
    assert data.split("train")[0].path == tmp_path / "val2014" / "1.jpg"
    assert data.split(data.validation_split())[0].captions == ("A cat.", "Cats.")


def test_coco_jsons_are_read_by_the_split_in_their_name(tmp_path: Path) -> None:
    _photos(tmp_path, "1.jpg", "2.jpg")
    for number, split in enumerate(["train", "val"], start=1):
        content = {
            "images": [{"id": number, "file_name": f"{number}.jpg"}],
            "annotations": [{"image_id": number, "caption": " A dog. "}],
        }
        (tmp_path / f"captions_{split}2017.json").write_text(json.dumps(content))
    data = read_data(tmp_path)
    assert [example.captions for example in data.split("train")] == [("A dog.",)]
    assert [example.image_id for example in data.split("train")] == [1]
    assert len(read_data(tmp_path / "captions_val2017.json").split("val")) == 1


def test_an_empty_or_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither captions\.txt"):
        read_data(tmp_path)
    with pytest.raises(DataError, match="there is no"):
        read_data(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("captions", "train", "message"),
    [
        ("image,caption\n", "", "has no captions"),
        ("1.jpg,A dog\n", "1.jpg", "must begin with the header"),
        ("image,caption\n1.jpg,\n", "1.jpg", "line 2"),
        ("image,caption\n9.jpg,A dog\n", "9.jpg", r'missing, first ".*9\.jpg"'),
        ("image,caption\n1.jpg,A dog\n", "1.jpg\n2.jpg", r'no caption, first "2\.jpg"'),
    ],
)
def test_captions_and_photos_that_do_not_match_are_named(
    tmp_path: Path, captions: str, train: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_data(_flickr8k(tmp_path, captions, train=train))


def test_photos_without_captions_are_named_unless_lists_say_what_to_use(tmp_path: Path) -> None:
    captions = "image,caption\n1.jpg,A dog\n"
    with pytest.raises(DataError, match=r'2 photos of .* have no caption, first "2\.jpg"'):
        read_data(_flickr8k(tmp_path, captions))
    assert len(read_data(_flickr8k(tmp_path, captions, train="1.jpg")).split("train")) == 1


def test_a_list_that_names_no_captioned_photo_is_refused(tmp_path: Path) -> None:
    folder = _flickr8k(
        tmp_path, CAPTIONS, train="1.jpg\n2.jpg", dev="one.jpg\n", readme="All photos are ours."
    )
    with pytest.raises(DataError, match=r'1 images of dev\.txt have no caption, first "one\.jpg"'):
        read_data(folder)


def test_a_json_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"name": "x"}')
    with pytest.raises(DataError, match="neither a Karpathy nor a COCO"):
        read_data(tmp_path)


def test_a_photo_in_two_splits_is_refused(tmp_path: Path) -> None:
    folder = _flickr8k(tmp_path, CAPTIONS, train="1.jpg\n2.jpg", dev="2.jpg\n3.jpg")
    with pytest.raises(DataError, match=r'"2\.jpg" stands in the splits dev and train'):
        read_data(folder)


def test_equal_bytes_in_two_splits_are_refused_and_in_one_are_not() -> None:
    refuse_same_bytes({"train": ["a", "a", "b"], "dev": ["c"]})
    with pytest.raises(DataError, match="splits train and dev"):
        refuse_same_bytes({"train": ["a", "b"], "dev": ["b"]})


def test_an_unknown_split_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='no split "test"; it has train'):
        read_data(_flickr8k(tmp_path, CAPTIONS)).split("test")


def test_the_data_hash_knows_content_and_captions_but_no_names(tmp_path: Path) -> None:
    examples = read_data(_flickr8k(tmp_path, CAPTIONS)).split("train")
    hashes = content_hashes(examples)
    assert len(set(hashes)) == 3
    assert data_hash(examples, hashes) == data_hash(examples[::-1], hashes[::-1])
    assert data_hash(examples, hashes) != data_hash(examples[:2], hashes[:2])
