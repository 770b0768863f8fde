"""Checkpoints: trained captioners, held as blobs so that every worker can fetch them."""

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from catalog import checkpoint_intake
from catalog.blobs import BlobStore, sha256_of_rest
from catalog.database import Database, lock_content
from catalog.errors import Conflict, InvalidInput, NotFound
from catalog.exports.folders import whole_folder
from catalog.ingest import remove_blobs
from catalog.pages import PAGE_SIZE, Listing, listing
from catalog.schema import Checkpoint, CheckpointState

WEIGHTS = checkpoint_intake.WEIGHTS
DESCRIPTION = checkpoint_intake.DESCRIPTION
SHIPPED = "starter-"  # what the names of checkpoints begin with that come with Recaption
FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can tell


def active(session: Session) -> Checkpoint:
    """The checkpoint that new jobs caption with. Raises NotFound when none is active."""
    checkpoint = session.scalar(select(Checkpoint).where(Checkpoint.state == CheckpointState.ACTIVE))
    if checkpoint is None:
        raise NotFound("no checkpoint is active; `recaption migrate` registers the one that is shipped")
    return checkpoint


def get(session: Session, checkpoint_id: int) -> Checkpoint:
    """Raises NotFound for a checkpoint that is not there."""
    checkpoint = session.scalar(select(Checkpoint).where(Checkpoint.id == checkpoint_id))
    if checkpoint is None:
        raise NotFound(f"there is no checkpoint {checkpoint_id}")
    return checkpoint


def by_name(session: Session, name: str) -> Checkpoint:
    checkpoint = session.scalar(select(Checkpoint).where(Checkpoint.name == name))
    if checkpoint is None:
        raise NotFound(f"there is no checkpoint called {name!r}; `recaption checkpoint list` names them all")
    return checkpoint


def newest(session: Session, *, after: int | None = None, limit: int = PAGE_SIZE) -> Listing[Checkpoint]:
    """The checkpoints, newest first."""
    query = select(Checkpoint).order_by(Checkpoint.id.desc()).limit(limit + 1)
    if after is not None:
        query = query.where(Checkpoint.id < after)
    return listing(session.scalars(query).all(), limit, lambda checkpoint: checkpoint.id)


def register(
    session: Session, blobs: BlobStore, folder: Path, *, state: CheckpointState = CheckpointState.CANDIDATE
) -> Checkpoint:
    """Store a checkpoint folder as blobs and give it a row. Raises InvalidInput for another folder."""
    description = read_description(folder)
    checkpoint = Checkpoint(
        name=description["name"],
        state=state,
        weights_sha256=blobs.put(folder / WEIGHTS),
        description_sha256=blobs.put(folder / DESCRIPTION),
        description=description,
    )
    files = {checkpoint.weights_sha256: folder / WEIGHTS, checkpoint.description_sha256: folder / DESCRIPTION}
    hold(session, blobs, files)
    session.add(checkpoint)
    session.flush()
    return checkpoint


def hold(session: Session, blobs: BlobStore, files: Mapping[str, Path | bytes]) -> None:
    """Keep stored files, given with their keys, from being removed until the transaction makes their row.

    What somebody removed since it was stored is stored again.
    """
    lock_content(session, *files)
    for key, source in files.items():
        if not blobs.exists(key):
            blobs.put(source)


def add(database: Database, blobs: BlobStore, source: Path, *, staging: Path | None = None) -> Checkpoint:
    """Keep a checkpoint of a folder or a zip as a candidate, once it was tried out in a child process.

    Copies lie below `staging` meanwhile. Raises InvalidInput for what cannot be used, Conflict where its name
    is taken, and StorageFull; then nothing is kept. Names of those that come with Recaption are refused.
    """
    with checkpoint_intake.unpacked(source, staging) as folder:
        name = checkpoint_intake.description_of(folder)["name"]
        _require_not_shipped(name)
        with database.reading() as session:
            _require_free(session, name)
        checkpoint_intake.try_out(folder)
        try:
            with database.writing() as session:
                _require_free(session, name)
                return register(session, blobs, folder)
        except BaseException as error:
            remove_blobs(database, blobs, [_sha256(folder / file) for file in (WEIGHTS, DESCRIPTION)])
            if isinstance(error, IntegrityError):
                raise _taken(name) from None
            raise


def save_to(blobs: BlobStore, checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint as a folder, whole or not at all. Raises Conflict where something lies there."""
    with whole_folder(folder) as staged:
        for name, key in _files(checkpoint):
            blobs.copy_to(key, staged / name)


def write_zip(blobs: BlobStore, checkpoint: Checkpoint, file: IO[bytes]) -> None:
    """Write a checkpoint as a zip that `add` takes: the same bytes each time. Raises MissingBlob."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, key in _files(checkpoint):
            info = zipfile.ZipInfo(name, FIRST_DAY)
            info.external_attr = 0o644 << 16
            with blobs.local(key) as path, path.open("rb") as source:
                info.file_size = path.stat().st_size
                with archive.open(info, "w") as target:
                    shutil.copyfileobj(source, target)


def ensure_starter(database: Database, blobs: BlobStore, folder: Path) -> None:
    """Register the shipped checkpoint when this release's is not there yet; the first becomes active.

    A database that has an active checkpoint keeps it: people decide what captions for them.
    """
    name = read_description(folder)["name"]
    with database.reading() as session:
        if session.scalar(select(Checkpoint.id).where(Checkpoint.name == name)):
            return
    with database.writing() as session:
        some_active = select(Checkpoint.id).where(Checkpoint.state == CheckpointState.ACTIVE)
        state = CheckpointState.CANDIDATE if session.scalar(some_active) else CheckpointState.ACTIVE
        register(session, blobs, folder, state=state)


def materialise(checkpoint: Checkpoint, blobs: BlobStore, cache: Path) -> Path:
    """The checkpoint as a folder on this machine, kept by hash. Raises MissingBlob when bytes are gone."""
    folder = cache / "checkpoints" / f"{checkpoint.weights_sha256[:16]}-{checkpoint.description_sha256[:16]}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as staged:
        complete = Path(staged) / "complete"
        complete.mkdir()
        blobs.copy_to(checkpoint.weights_sha256, complete / WEIGHTS)
        blobs.copy_to(checkpoint.description_sha256, complete / DESCRIPTION)
        if not folder.exists():
            _move(complete, folder)
    return folder


def read_description(folder: Path) -> dict[str, Any]:
    """The checkpoint.json of a folder. Raises InvalidInput for a folder that is no checkpoint."""
    for name in (WEIGHTS, DESCRIPTION):
        if not (folder / name).is_file():
            raise InvalidInput(f"{str(folder)!r} has no {name}; give a folder that `recaption train` wrote")
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInput(f"{DESCRIPTION} in {str(folder)!r} is no JSON: {error}") from error
    if not isinstance(description, dict) or not isinstance(description.get("name"), str):
        raise InvalidInput(f"{DESCRIPTION} in {str(folder)!r} has no name; write it with `recaption train`")
    return description


def _files(checkpoint: Checkpoint) -> tuple[tuple[str, str], ...]:
    return (WEIGHTS, checkpoint.weights_sha256), (DESCRIPTION, checkpoint.description_sha256)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return sha256_of_rest(file)


def _require_free(session: Session, name: str) -> None:
    if session.scalar(select(Checkpoint.id).where(Checkpoint.name == name)):
        raise _taken(name)


def _require_not_shipped(name: str) -> None:
    """Under such a name, a checkpoint from elsewhere would pass for ours, and keep the next of ours away."""
    if name.startswith(SHIPPED):
        raise InvalidInput(
            f"{name!r} is a name of checkpoints that come with Recaption; give this one another name in its "
            f"{DESCRIPTION}"
        )


def _taken(name: str) -> Conflict:
    return Conflict(
        f"a checkpoint called {name!r} is here already; give this one another name in its {DESCRIPTION}"
    )


def _move(source: Path, target: Path) -> None:
    try:
        os.rename(source, target)
    except OSError:
        # Another worker of this machine fetched the same checkpoint first; its folder serves as well.
        if not target.is_dir():
            raise
