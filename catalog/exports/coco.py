"""COCO captions: a JSON a split with images and annotations, as pycocotools reads it, beside the pictures."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from catalog.exports.frozen import File, FrozenDataset, Photo, encoded, pieces_of
from catalog.exports.karpathy import SPLITS
from catalog.schema import Split

IMAGES = "images/"

Sizes = dict[int, tuple[int, int]]
"""Width and height of the exported files, by the number of the photo."""


def files(dataset: FrozenDataset) -> Iterator[File]:
    """`captions_train.json` and so on; the ids of annotations count on from split to split."""
    sizes: Sizes = {}
    yield from _pictures(dataset, sizes)
    first = 1
    for split in dataset.splits():
        lines = encoded(_document(dataset, split, first, sizes))
        yield File(f"captions_{SPLITS[split]}.json", lines)
        first += sum(len(photo.captions) for photo in dataset.captioned(split))


def _pictures(dataset: FrozenDataset, sizes: Sizes) -> Iterator[File]:
    if dataset.pictures is None:
        return
    for photo in dataset.captioned():
        with photo.local() as path:
            sizes[photo.number] = dataset.pictures.size(photo.item, path)
            yield File(IMAGES + photo.name, pieces_of(path))


def _document(dataset: FrozenDataset, split: Split, first: int, sizes: Sizes) -> Iterator[str]:
    about = json.dumps({"description": dataset.name}, ensure_ascii=False)
    yield f'{{"info": {about}, "licenses": [],\n"images": ['
    yield from _listed(_image(photo, sizes) for photo in dataset.captioned(split))
    yield '],\n"annotations": ['
    yield from _listed(_annotations(dataset, split, first))
    yield "]}\n"


def _listed(objects: Iterable[dict[str, Any]]) -> Iterator[str]:
    comma = ""
    for one in objects:
        yield f"{comma}\n{json.dumps(one, ensure_ascii=False)}"
        comma = ","


def _image(photo: Photo, sizes: Sizes) -> dict[str, Any]:
    width, height = sizes.get(photo.number, (photo.item.width, photo.item.height))
    return {
        "id": photo.number,
        "file_name": photo.name,
        **photo.described(),
        "width": width,
        "height": height,
    }


def _annotations(dataset: FrozenDataset, split: Split, first: int) -> Iterator[dict[str, Any]]:
    captions = ((photo, caption) for photo in dataset.captioned(split) for caption in photo.captions)
    for number, (photo, caption) in enumerate(captions, start=first):
        yield {
            "id": number,
            "image_id": photo.number,
            "caption": caption.text,
            "language": caption.language,
            "origin": caption.origin,
        }
