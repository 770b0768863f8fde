"""Exports of a frozen dataset: the formats, each written into a folder of its own."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from catalog import manifests
from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.errors import InvalidInput
from catalog.exports import coco, csv, flickr8k, imagefolder, jsonl, karpathy, parquet, sidecars, webdataset
from catalog.exports.folders import whole_folder
from catalog.exports.frozen import File, FrozenDataset
from catalog.exports.pictures import Originals, Renditions, Watched
from catalog.schema import Dataset

DATASET_WRITERS: dict[str, Callable[[FrozenDataset], Iterator[File]]] = {
    "coco": coco.files,
    "karpathy": karpathy.files,
    "flickr8k": flickr8k.files,
    "csv": csv.files,
    "jsonl": jsonl.files,
    "txt": sidecars.txt_files,
    "imagefolder": imagefolder.files,
    "webdataset": webdataset.files,
    "parquet": parquet.files,
    "xmp": sidecars.xmp_files,
}
DATASET_FORMATS = tuple(DATASET_WRITERS)


def export_dataset(
    blobs: BlobStore,
    dataset: Dataset,
    format: str,
    folder: Path,
    *,
    images: bool = True,
    originals: Database | None = None,
    sidecars: Path | None = None,
    told: Callable[[], object] = lambda: None,
) -> Path:
    """Write a dataset into a new or empty folder, whole or not at all, and return that folder.

    `images` are renditions, or the originals where a database is given that knows where those are. `sidecars`
    is a folder with XMP sidecars, at the paths of the items, into copies of which the texts are merged.
    `told` is called for each image. Raises InvalidInput for an unknown format, MissingBlob where manifest or
    photos are gone or damaged, Conflict where the folder holds something, and StorageFull.
    """
    files = files_of(blobs, dataset, format, images=images, originals=originals, sidecars=sidecars, told=told)
    with whole_folder(folder) as staged:
        for file in files:
            path = staged / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, file.pieces)
    return folder


def files_of(
    blobs: BlobStore,
    dataset: Dataset,
    format: str,
    *,
    images: bool = True,
    originals: Database | None = None,
    sidecars: Path | None = None,
    told: Callable[[], object] = lambda: None,
) -> Iterator[File]:
    """The files of an export, to be read in their order. Arguments and errors are those of `export_dataset`.

    The manifest is checked before anything is returned.
    """
    if format not in DATASET_WRITERS:
        raise InvalidInput(f"format {format!r} is unknown; use one of {', '.join(DATASET_FORMATS)}")
    if sidecars and format != "xmp":
        raise InvalidInput(f"format {format!r} has no XMP sidecars to merge; leave them out, or use xmp")
    manifests.read(blobs, dataset.manifest_sha256)
    pictures = Originals(blobs, originals) if originals else Renditions(blobs)
    frozen = FrozenDataset(
        name=f"{dataset.name}@{dataset.version}",
        manifest_sha256=dataset.manifest_sha256,
        blobs=blobs,
        pictures=Watched(pictures, told) if images else None,
        sidecars=sidecars,
    )
    return DATASET_WRITERS[format](frozen)


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("xb") as target:
        for piece in pieces:
            target.write(piece)
