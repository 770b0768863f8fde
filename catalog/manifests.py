"""Manifests: what a dataset holds, as lines of JSON in one blob whose hash is the hash of the dataset.

The first line is the header, each other one an item. There are no names of people and no times in it, so that
freezing the same content again gives the same bytes.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.blobs import BlobStore
from catalog.errors import DamagedManifest
from catalog.schema import Split

FORM = 1


@dataclass(frozen=True, kw_only=True)
class Header:
    """What holds for the whole dataset; `filter` is the query that was frozen."""

    kind: str
    collection: str
    filter: dict[str, Any]
    guidelines: str
    form: int = FORM


@dataclass(frozen=True, kw_only=True)
class FrozenCaption:
    """One text as it was. `blind`: written without seeing model text.

    `model` names the captioner whose text it was or came from. `id` and `version` are those of the caption;
    0 for a reference of a golden set, which is none.
    """

    text: str
    language: str
    kind: str
    origin: str
    id: int = 0
    version: int = 0
    model: str | None = None
    blind: bool = False


@dataclass(frozen=True, kw_only=True)
class FrozenItem:
    """One imported file with its captions; `sha256` is of the original, `rendition` of its small JPEG."""

    item_id: int
    path: str
    sha256: str
    rendition: str
    width: int
    height: int
    split: Split
    captions: tuple[FrozenCaption, ...]
    external_id: str | None = None
    rights: str | None = None


def write(path: Path, header: Header, items: Iterable[FrozenItem]) -> None:
    """Write a manifest; items come in their order, and stay in it."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(_line(vars(header)))
        for item in items:
            file.write(_line({**vars(item), "captions": [vars(caption) for caption in item.captions]}))


def read(blobs: BlobStore, manifest_sha256: str) -> tuple[Header, Iterator[FrozenItem]]:
    """The manifest of that hash; items are read one by one.

    Raises MissingBlob where it is gone or its bytes have another hash, and DamagedManifest where it is none.
    """
    lines = _lines(blobs, manifest_sha256)
    try:
        header = Header(**json.loads(next(lines)))
    except (StopIteration, ValueError, TypeError) as error:
        raise DamagedManifest(f"blob {manifest_sha256} is no manifest of a dataset: {error}") from error
    if header.form != FORM:
        raise DamagedManifest(
            f"manifest {manifest_sha256} has form {header.form}, and this release reads {FORM}; update it"
        )
    return header, (_item(line, manifest_sha256) for line in lines)


def _lines(blobs: BlobStore, manifest_sha256: str) -> Iterator[str]:
    # No other ends of lines: people's texts hold other characters that are taken for such.
    with blobs.local(manifest_sha256) as path, path.open(encoding="utf-8", newline="\n") as file:
        yield from file


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"


def _item(line: str, manifest_sha256: str) -> FrozenItem:
    try:
        row = json.loads(line)
        captions = tuple(FrozenCaption(**caption) for caption in row.pop("captions"))
        return FrozenItem(**{**row, "split": Split(row["split"])}, captions=captions)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedManifest(f"manifest {manifest_sha256} has a line that is no item: {error!r}") from error
