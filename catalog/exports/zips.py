"""An export of a dataset as one zip, made while it is sent."""

import zipfile
from collections.abc import Iterable, Iterator

from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.exports.datasets import files_of
from catalog.exports.frozen import File
from catalog.exports.sink import Sink
from catalog.schema import Dataset

PIECE = 64 << 10  # bytes at least: lines of text would make many small ones


def stream_zip(
    blobs: BlobStore,
    dataset: Dataset,
    format: str,
    *,
    images: bool = True,
    originals: Database | None = None,
) -> Iterator[bytes]:
    """The zip in pieces, the same bytes each time; arguments and errors are those of `export_dataset`.

    The manifest is checked before the first piece. Where a photo turns out to be gone later, MissingBlob ends
    the stream without the zip's list of contents, and no program takes it for a whole one.
    """
    return _zipped(files_of(blobs, dataset, format, images=images, originals=originals))


def _zipped(files: Iterable[File]) -> Iterator[bytes]:
    sink = Sink()
    # Stored as they are: pictures do not shrink, and other releases of zlib would give other bytes.
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.name)
            entry.create_system = 3  # Unix, on every system alike
            entry.external_attr = 0o644 << 16
            # How long it becomes is not known yet, and it may be longer than 4 GiB.
            with archive.open(entry, "w", force_zip64=True) as target:
                for piece in file.pieces:
                    target.write(piece)
                    if sink.held >= PIECE:
                        yield sink.taken()
    yield sink.taken()
