"""Files that leave the house: exports and datasets."""

import io
import re
import tempfile
from collections.abc import Callable
from itertools import chain
from typing import TextIO

from flask import Response, send_file
from sqlalchemy.orm import Session

from catalog.exports import file_name, write_export
from catalog.exports.zips import stream_zip
from catalog.schema import Collection, Dataset
from dashboard.services import services

MEMORY = 8 << 20  # bytes that an export may take before it goes to disk
MIME_TYPES = {"jsonl": "application/jsonl", "csv": "text/csv"}


def export_response(session: Session, collection: Collection, format: str) -> Response:
    """The collection's captions as a download. Raises InvalidInput for an unknown format."""
    return spooled(
        lambda stream: write_export(session, collection, format, stream),
        name=f"{_slug(collection.name)}-{file_name(format)}",
        mimetype=MIME_TYPES[format],
    )


def dataset_response(dataset: Dataset, format: str, *, images: bool, originals: bool) -> Response:
    """A dataset as a zip that is made while it is sent, however large.

    Raises what `stream_zip` does while nothing is sent yet.
    """
    database = services().database if originals else None
    pieces = stream_zip(services().blobs, dataset, format, images=images, originals=database)
    first = next(pieces)
    response = Response(chain([first], pieces), mimetype="application/zip")
    name = f"{_slug(dataset.name)}-{dataset.version}-{format}.zip"
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


def spooled(write: Callable[[TextIO], None], *, name: str, mimetype: str) -> Response:
    """A text file as a download, written while nothing is sent yet, so that errors still have an answer."""
    spool = tempfile.SpooledTemporaryFile(max_size=MEMORY)  # noqa: SIM115 - the answer closes it
    text = io.TextIOWrapper(spool, encoding="utf-8", newline="", write_through=True)
    write(text)
    text.detach()
    spool.seek(0)
    return send_file(spool, mimetype=mimetype, as_attachment=True, download_name=name)


def _slug(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name.lower()).strip("-") or "collection"
