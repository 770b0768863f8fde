"""Datasets that are frozen by hand: a manifest in the blobs, and the row that names it."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from catalog import manifests
from catalog.blobs import BlobStore
from catalog.manifests import FrozenCaption, FrozenItem, Header
from catalog.schema import Dataset, DatasetKind, Split

LONG = " ".join(f"word{number}" for number in range(500))
AWKWARD = (
    'A "boat",\nand a pier; it\'s grey.',
    "נמל עם סירות,\u2028ורוח.",
    "Two 🚤 and a 👩‍👩‍👧 at the quay.",
    LONG,
    "=HYPERLINK(1) on a sign.",
)
"""Captions of several lines, of another direction, with emoji, very long, and as a formula begins."""


def frozen_item(blobs: BlobStore, path: str, split: Split, *texts: str, **fields: Any) -> FrozenItem:
    """An item whose original and rendition are stored; a text may be a caption already."""
    number = int(hashlib.sha256(path.encode()).hexdigest()[:4], 16) + fields.get("item_id", 0)
    original, rendition = picture(number, (96, 64), "PNG"), picture(number, (48, 32), "JPEG")
    captions = tuple(
        FrozenCaption(
            text=text, language="en", kind="caption", origin="edited", id=7, version=2, model="starter"
        )
        if isinstance(text, str)
        else text
        for text in texts
    )
    known: dict[str, Any] = {"item_id": number + 1, "width": 96, "height": 64} | fields
    return FrozenItem(
        path=path,
        split=split,
        sha256=blobs.put(original),
        rendition=blobs.put(rendition),
        captions=captions,
        **known,
    )


def frozen_dataset(blobs: BlobStore, items: Sequence[FrozenItem], name: str = "Harbour") -> Dataset:
    header = Header(kind=DatasetKind.CURATED, collection="Harbour", filter={}, guidelines="Short.")
    with TemporaryDirectory() as folder:
        manifests.write(Path(folder) / "manifest", header, items)
        manifest_sha256 = blobs.put(Path(folder) / "manifest")
    return Dataset(name=name, version=3, kind=DatasetKind.CURATED, manifest_sha256=manifest_sha256)


def picture(seed: int, size: tuple[int, int], format: str) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(coarse).resize(size).save(data, format)
    return data.getvalue()
