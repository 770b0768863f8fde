"""JSONL, the lossless format: one object an item with all its captions."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, TextIO

from catalog.exports.frozen import File, FrozenDataset, Photo, encoded
from catalog.exports.rows import ExportedItem
from catalog.manifests import FrozenCaption
from catalog.schema import CaptionState


def write(items: Iterator[ExportedItem], stream: TextIO) -> None:
    for item in items:
        stream.write(json.dumps(asdict(item), ensure_ascii=False) + "\n")


def files(dataset: FrozenDataset) -> Iterator[File]:
    """`captions.jsonl` of a frozen dataset, and the pictures in the folders of their items beside it.

    Nothing that the manifest says of an item is lost, and an import reads it back.
    """
    yield from dataset.picture_files("", captioned=False)
    rows = (_row(photo) for photo in dataset.photos())
    yield File("captions.jsonl", encoded(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _row(photo: Photo) -> dict[str, Any]:
    captions = [_caption(one) for one in photo.item.captions]
    return {
        "path": photo.path,
        **photo.described(),
        "rendition": photo.item.rendition,
        "captions": captions,
    }


def _caption(caption: FrozenCaption) -> dict[str, Any]:
    """As an import reads it. A reference of a golden set has no id and no version."""
    row = asdict(caption)
    row |= {"state": CaptionState.ACCEPTED, "checkpoint": row.pop("model")}
    return {name: value for name, value in row.items() if value or name not in ("id", "version")}
