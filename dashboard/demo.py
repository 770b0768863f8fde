"""What `recaption demo` does once its servers run: photos in, captions out."""

import importlib.util
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from sqlalchemy.orm import Session
from tqdm import tqdm

from catalog import accounts, checkpoints, collections, jobs
from catalog.blobs import open_blobs
from catalog.database import Database
from catalog.errors import InvalidInput, NotFound
from catalog.ingest import FileReport, Incoming, ingest, pictures_of
from catalog.jobs import UNFINISHED
from catalog.queue import Queue
from catalog.schema import Collection, Job, ReviewState, Role, User
from catalog.settings import Settings
from pictures.sandbox import DecodingProcess

USER = "demo"
# Photographs in the public domain among the test images that come with scikit-image.
SAMPLES = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "rocket.jpg",
)
SAMPLES_NOTE = (
    "These public-domain photos come with scikit-image. They are unlike the snapshots of people and dogs "
    "that the starter checkpoint was trained on, so expect poor captions: your own photos do better "
    "(--photos DIR)."
)


@dataclass(frozen=True)
class Photos:
    """What the demo imports, under which name."""

    name: str
    files: Sequence[Incoming]
    guidelines: str


def photos_of(folder: Path | None) -> Photos:
    """The files of a folder, or the samples. Raises InvalidInput when there are none."""
    if folder is not None:
        return Photos(name=folder.resolve().name or "Photos", files=pictures_of(folder), guidelines="")
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise InvalidInput(
            "the sample photos come with scikit-image, which is not installed: give --photos DIR"
        )
    data = Path(found.submodule_search_locations[0], "data")
    files = [Incoming(source=data / name, path=name) for name in SAMPLES if (data / name).is_file()]
    return Photos(name="Sample photos", files=files, guidelines=SAMPLES_NOTE)


def login_secret(database: Database) -> str:
    """A fresh one-time login for the demo's admin, who is made on the first start and has no password."""
    with database.writing() as session:
        return accounts.create_login_link(session, _user(session))


def import_photos(settings: Settings, database: Database, photos: Photos) -> int:
    """Import what is not there yet, tell what was left out; returns the collection's id."""
    with database.writing() as session:
        collection_id = _collection(session, photos).id
    with DecodingProcess(max_pixels=settings.max_pixels) as decoder:
        reports = ingest(database, open_blobs(settings), decoder, collection_id, photos.files)
        done = list(tqdm(reports, "Importing", len(photos.files), unit="photo", disable=_quiet()))
    _tell(done, photos.name)
    return collection_id


def caption(settings: Settings, database: Database, collection_id: int) -> None:
    """Caption what has no caption yet, and follow the job to its end."""
    with database.writing() as session:
        job = _job(session, session.get_one(Collection, collection_id))
    if job is None:
        click.echo("Every photo has a caption.")
        return
    Queue(settings).wake()
    try:
        job = _followed(database, job)
    except NotFound:
        click.echo("The collection was deleted.")
        return
    click.echo(
        f"Captioned {job.done} of {job.total} photos" + (f", {job.failed} failed" if job.failed else "")
    )


def _followed(database: Database, job: Job) -> Job:
    """The job at its end, with a progress bar until then."""
    with tqdm(total=job.total, desc="Captioning", unit="photo", disable=_quiet()) as bar:
        while job.state in UNFINISHED:
            time.sleep(0.5)
            with database.reading() as session:
                job = jobs.get(session, job.id, viewer=None)
            bar.update(job.done + job.failed + job.skipped - bar.n)
    return job


def _user(session: Session) -> User:
    try:
        return accounts.by_name(session, USER)
    except NotFound:
        return accounts.create_user(session, name=USER, role=Role.ADMIN, password=None)


def _collection(session: Session, photos: Photos) -> Collection:
    try:
        return collections.by_name(session, photos.name)
    except NotFound:
        return collections.create(
            session, name=photos.name, owner=_user(session), guidelines=photos.guidelines
        )


def _job(session: Session, collection: Collection) -> Job | None:
    """The job that captions the collection already, a new one, or None when there is nothing to do."""
    for job in jobs.recent(session, viewer=None, collection=collection).rows:
        if job.state in UNFINISHED:
            return job
    if not collections.summary(session, collection).states.get(ReviewState.UNCAPTIONED):
        return None
    checkpoint = checkpoints.active(session)
    return jobs.create_caption_job(session, collection, checkpoint=checkpoint, user=_user(session))


def _tell(reports: Sequence[FileReport], name: str) -> None:
    left_out = [report for report in reports if not report.stored]
    for report in left_out:
        click.echo(f"  left out {report.path}: {report.status}: {report.detail}")
    click.echo(f"{len(reports) - len(left_out)} of {len(reports)} files are in the collection {name!r}.")


def _quiet() -> bool:
    return not sys.stderr.isatty()
