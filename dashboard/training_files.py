"""What a training run wrote for people: its log, and TensorBoard's files."""

import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO

from flask import Blueprint, Response, send_file
from flask.typing import ResponseReturnValue

from catalog import jobs, training_runs
from catalog.errors import NotFound
from catalog.schema import JobKind
from dashboard.downloads import MEMORY
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import current_session

LOG, TENSORBOARD = "log.jsonl", "tensorboard"

blueprint = Blueprint("training_files", __name__)


@blueprint.get("/jobs/<int:job_id>/log.jsonl")
def log(job_id: int) -> ResponseReturnValue:
    """A line of JSON an epoch."""
    with _files(job_id) as archive:
        content = b"".join(
            _content(archive, member).read()
            for member in archive
            if member.isfile() and PurePosixPath(member.name).name == LOG
        )
    return Response(content, mimetype="application/jsonl", headers=_attached(f"job-{job_id}-{LOG}"))


@blueprint.get("/jobs/<int:job_id>/tensorboard.zip")
def tensorboard(job_id: int) -> ResponseReturnValue:
    """The folder that `tensorboard --logdir` takes, as a zip."""
    with _files(job_id) as archive:
        spool = tempfile.SpooledTemporaryFile(max_size=MEMORY)  # noqa: SIM115 - the answer closes it
        with zipfile.ZipFile(spool, "w", zipfile.ZIP_DEFLATED) as packed:
            _pack(archive, packed)
    spool.seek(0)
    return send_file(
        spool,
        mimetype="application/zip",
        as_attachment=True,
        download_name=f"job-{job_id}-tensorboard.zip",
    )


@contextmanager
def _files(job_id: int) -> Iterator[tarfile.TarFile]:
    """The files of a run as it kept them last. Raises NotFound before it has kept any."""
    session = current_session()
    job = jobs.get(session, job_id, viewer=viewer(), kind=JobKind.TRAIN)
    key = training_runs.run_of(session, job).files_sha256
    if key is None:
        raise NotFound(f"job {job_id} has kept no files yet; it does so after its first epoch")
    with services().blobs.local(key) as path, tarfile.open(path) as archive:
        yield archive


def _pack(archive: tarfile.TarFile, packed: zipfile.ZipFile) -> None:
    for member in archive:
        path = PurePosixPath(member.name)
        if member.isfile() and TENSORBOARD in path.parts:
            packed.writestr(str(path), _content(archive, member).read())


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(member)
    assert content  # it is a file
    return content


def _attached(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
