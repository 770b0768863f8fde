"""Checkpoints as files: downloaded as a zip, uploaded as a zip or as the files of a folder."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

from flask import Response, request, send_file
from werkzeug.datastructures import FileStorage

from catalog import checkpoints
from catalog.checkpoints import DESCRIPTION, WEIGHTS
from catalog.errors import InvalidInput
from catalog.schema import Checkpoint
from dashboard.downloads import MEMORY
from dashboard.services import Services

NAMES = {WEIGHTS, DESCRIPTION}
UPLOADS = ("checkpoints.upload", "api_checkpoints.upload")
MOST_BYTES = (2 << 30) + (64 << 20)  # of a request that brings a checkpoint


def let_checkpoints_through() -> None:
    """Weights may be larger than anything else that comes in one request."""
    if request.endpoint in UPLOADS:
        request.max_content_length = MOST_BYTES


def checkpoint_response(services: Services, checkpoint: Checkpoint) -> Response:
    """Its two files as a zip, which the same page takes in again."""
    spool = tempfile.SpooledTemporaryFile(max_size=MEMORY)  # noqa: SIM115 - the answer closes it
    with ExitStack() as stack:
        stack.callback(spool.close)
        checkpoints.write_zip(services.blobs, checkpoint, spool)
        stack.pop_all()
    spool.seek(0)
    return send_file(
        spool, mimetype="application/zip", as_attachment=True, download_name=f"{checkpoint.name}.zip"
    )


def registered(services: Services, files: Sequence[FileStorage]) -> Checkpoint:
    """The checkpoint that a zip, or the files of a folder, holds, checked and kept as a candidate.

    Raises InvalidInput, with the reason, for anything else.
    """
    cache = services.settings.cache
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as staged:
        source = _saved(files, Path(staged))
        return checkpoints.add(services.database, services.blobs, source, staging=cache)


def _saved(files: Sequence[FileStorage], folder: Path) -> Path:
    """What was sent as a folder, or as a zip, on this disk."""
    named = {PurePosixPath((file.filename or "").replace("\\", "/")).name: file for file in files}
    if not NAMES & named.keys() and len(files) == 1:
        files[0].save(folder / "checkpoint.zip")
        return folder / "checkpoint.zip"
    if missing := sorted(NAMES - named.keys()):
        raise InvalidInput(
            f"there is no {' and no '.join(missing)} in what was sent; "
            "choose the zip of a checkpoint, or both files of its folder"
        )
    for name in NAMES:
        named[name].save(folder / name)
    return folder
