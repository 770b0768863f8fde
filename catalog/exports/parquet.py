"""Parquet: a file a split, each picture within its row as the Image feature of Hugging Face has it."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from catalog.exports.frozen import File, FrozenDataset, Photo
from catalog.exports.sink import Sink
from catalog.schema import Split

if TYPE_CHECKING:
    import pyarrow

# A group of rows is held in memory while it is written, and again while it is read.
ROWS = 100
BYTES = 32 << 20


def files(dataset: FrozenDataset) -> Iterator[File]:
    """`data/train-00000-of-00001.parquet` and so on, as `datasets` expects them to be called."""
    for split in dataset.splits():
        yield File(f"data/{split}-00000-of-00001.parquet", _table(dataset, split))


def _table(dataset: FrozenDataset, split: Split) -> Iterator[bytes]:
    # Here, because loading it takes a while and every command would wait for it.
    import pyarrow
    import pyarrow.parquet

    schema = _schema(with_pictures=dataset.pictures is not None)
    sink = Sink()
    with pyarrow.parquet.ParquetWriter(pyarrow.PythonFile(sink, "w"), schema) as writer:
        for rows in _groups(dataset, split):
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))
            yield sink.taken()
    yield sink.taken()


def _groups(dataset: FrozenDataset, split: Split) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    size = 0
    for photo in dataset.captioned(split):
        rows.append(_row(photo))
        size += len(rows[-1]["image"]["bytes"]) if photo.pictures else 0
        if len(rows) >= ROWS or size >= BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _row(photo: Photo) -> dict[str, Any]:
    row = {
        **photo.described(),
        "captions": [caption.text for caption in photo.captions],
        "languages": [caption.language for caption in photo.captions],
        "origins": [caption.origin for caption in photo.captions],
    }
    if photo.pictures:
        row["image"] = {"bytes": b"".join(photo.pieces()), "path": photo.name}
    return row


def _schema(*, with_pictures: bool) -> "pyarrow.Schema":
    import pyarrow

    texts, whole = pyarrow.list_(pyarrow.string()), pyarrow.int64()
    columns: dict[str, Any] = {
        "captions": texts,
        "languages": texts,
        "origins": texts,
        "item_id": whole,
        **dict.fromkeys(
            ("item_path", "external_id", "rights", "split", "sha256", "file_sha256"), pyarrow.string()
        ),
        "width": whole,
        "height": whole,
    }
    if not with_pictures:
        return pyarrow.schema(columns)
    image = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    # What tells `datasets` that the column holds pictures.
    features = {"info": {"features": {"image": {"_type": "Image"}}}}
    return pyarrow.schema({"image": image, **columns}, metadata={"huggingface": json.dumps(features)})
