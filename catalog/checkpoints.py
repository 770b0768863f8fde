"""Checkpoints: trained captioners, held as blobs so that every worker can fetch them."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.errors import InvalidInput, NotFound
from catalog.pages import PAGE_SIZE, Listing, listing
from catalog.schema import Checkpoint, CheckpointState

WEIGHTS = "weights.safetensors"
DESCRIPTION = "checkpoint.json"


def active(session: Session) -> Checkpoint:
    """The checkpoint that new jobs caption with. Raises NotFound when none is active."""
    checkpoint = session.scalar(select(Checkpoint).where(Checkpoint.state == CheckpointState.ACTIVE))
    if checkpoint is None:
        raise NotFound("no checkpoint is active; `recaption migrate` registers the one that is shipped")
    return checkpoint


def by_name(session: Session, name: str) -> Checkpoint:
    checkpoint = session.scalar(select(Checkpoint).where(Checkpoint.name == name))
    if checkpoint is None:
        raise NotFound(
            f"there is no checkpoint called {name!r}; the dashboard's page of checkpoints names them all"
        )
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
    session.add(checkpoint)
    session.flush()
    return checkpoint


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


def _move(source: Path, target: Path) -> None:
    try:
        os.rename(source, target)
    except OSError:
        # Another worker of this machine fetched the same checkpoint first; its folder serves as well.
        if not target.is_dir():
            raise
