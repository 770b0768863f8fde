"""The JSON of Karpathy's splits: an object an image, with its split and its sentences."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import PurePosixPath
from typing import Any

from catalog.captions import words
from catalog.exports.frozen import File, FrozenDataset, encoded
from catalog.schema import Split

IMAGES = "images/"
SPLITS = {Split.TRAIN: "train", Split.VALIDATION: "val", Split.TEST: "test", Split.GOLDEN: "golden"}
"""What captioners call our splits."""


def files(dataset: FrozenDataset) -> Iterator[File]:
    """`dataset.json` and the pictures. Sentences have tokens, which many programs want."""
    yield from dataset.picture_files(IMAGES)
    yield File("dataset.json", encoded(document(_images(dataset), dataset.name)))


def document(images: Iterable[dict[str, Any]], name: str) -> Iterator[str]:
    """The JSON in pieces, an image a line."""
    yield f'{{"dataset": {json.dumps(name, ensure_ascii=False)}, "images": ['
    comma = ""
    for one in images:
        yield f"{comma}\n{json.dumps(one, ensure_ascii=False)}"
        comma = ","
    yield "\n]}\n"


def image(
    *, filename: str, filepath: str, split: str, sentences: Sequence[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    """One image of the JSON; `more` is said of it as well."""
    return {"filename": filename, "filepath": filepath, "split": split, "sentences": sentences, **more}


def _images(dataset: FrozenDataset) -> Iterator[dict[str, Any]]:
    sentids = count()
    for imgid, photo in enumerate(dataset.captioned()):
        place = PurePosixPath(IMAGES + photo.name)
        sentences = [
            {
                "raw": caption.text,
                "tokens": words(caption.text),
                "imgid": imgid,
                "sentid": next(sentids),
                "language": caption.language,
                "origin": caption.origin,
            }
            for caption in photo.captions
        ]
        yield image(
            **photo.described()
            | {
                "filename": place.name,
                "filepath": str(place.parent),
                "split": SPLITS[photo.item.split],
                "sentences": sentences,
                "imgid": imgid,
                "sentids": [sentence["sentid"] for sentence in sentences],
            }
        )
