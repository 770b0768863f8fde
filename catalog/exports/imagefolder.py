"""The imagefolder of Hugging Face: a folder a split with its pictures and a `metadata.jsonl`.

`datasets` guesses splits from any word of any path, so pictures are called by their numbers.
"""

import json
from collections.abc import Iterator
from typing import Any

from catalog.errors import InvalidInput
from catalog.exports.frozen import File, FrozenDataset, Photo, encoded
from catalog.schema import Split

# `datasets` knows no other names of folders; what a golden set is for is what a test split is for.
FOLDERS = {
    Split.TRAIN: "train",
    Split.VALIDATION: "validation",
    Split.TEST: "test",
    Split.GOLDEN: "test",
}


def files(dataset: FrozenDataset) -> Iterator[File]:
    """`text` holds all captions of a picture. Raises InvalidInput where no pictures are exported."""
    if dataset.pictures is None:
        raise InvalidInput("an imagefolder is a folder of images; export them, or use jsonl or parquet")
    for split in dataset.splits():
        for photo in dataset.captioned(split):
            yield File(f"{FOLDERS[split]}/{numbered(photo)}{photo.ending}", photo.pieces())
        rows = (_row(photo) for photo in dataset.captioned(split))
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        yield File(f"{FOLDERS[split]}/metadata.jsonl", encoded(lines))


def numbered(photo: Photo) -> str:
    """A name of digits alone, in which no reader finds a split or an ending."""
    return f"{photo.number:09}"


def _row(photo: Photo) -> dict[str, Any]:
    texts = [caption.text for caption in photo.captions]
    languages = [caption.language for caption in photo.captions]
    # `datasets` takes a column that is null throughout one split for another type than that of the next.
    described = {name: "" if value is None else value for name, value in photo.described().items()}
    name = numbered(photo) + photo.ending
    return {"file_name": name, "text": texts, "languages": languages, **described}
