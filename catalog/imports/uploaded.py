"""What was uploaded, imported: claimed by one process at a time, each file's report kept with the import."""

import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, cast

from sqlalchemy import ColumnElement, Select, and_, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from catalog.blobs import BlobStore
from catalog.database import Database, database_clock
from catalog.errors import Conflict, InvalidInput, MissingBlob, StaleToken
from catalog.imports.arrivals import Arrival, arriving, is_zip, with_captions
from catalog.ingest import FileReport, Incoming, ingest, remove_blobs, staged_name
from catalog.schema import (
    ImportedFile,
    Job,
    JobState,
    Upload,
    UploadPart,
    UploadState,
    User,
    utc_now,
)
from catalog.uploads import LIFETIME, OPEN, end_if_complete, forget_parts, lock_import
from pictures.errors import CorruptPicture, PictureError, RefusedPicture
from pictures.sandbox import DecodingProcess

Arrived = TypeVar("Arrived", Incoming, FileReport)

LEASE = 60.0  # seconds
RENEWED = 15.0  # seconds between two renewals while a large file is put together
WORKABLE = (JobState.QUEUED, JobState.RUNNING)


@dataclass
class Held:
    """Uploads of one import that this process has to itself until `lease` on the database's clock.

    The first of them carries the lease for all. `behind` is the collection's end when the import began.
    """

    job_id: int
    collection_id: int
    behind: int
    user: User | None
    uploads: Sequence[Upload]
    lease: float
    renewed: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Uploaded(Incoming):
    """An uploaded file; its parts are put together while somebody reads it."""

    upload: Upload = field(kw_only=True, repr=False, compare=False)
    importing: "Importing" = field(kw_only=True, repr=False, compare=False)

    @contextmanager
    def local(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.importing.staging, prefix="upload-") as folder:
            file = Path(folder, staged_name(self.path))
            self.importing.put_together(self.upload, file)
            yield file


def import_next(database: Database, blobs: BlobStore, decoder: DecodingProcess, staging: Path) -> bool:
    """Import the next upload that waits, or all of an import whose files belong together; False for none.

    What was recorded before a crash is not done again. Raises what databases and blob stores raise; then the
    next turn goes on.
    """
    staging.mkdir(parents=True, exist_ok=True, mode=0o700)
    with database.writing() as session:
        held = claim(session)
    if held is None:
        return False
    # When the import was cancelled or taken over by another process, nothing is left to do here.
    with suppress(StaleToken):
        Importing(database, blobs, decoder, staging, held).run()
    return True


@dataclass(frozen=True)
class Importing:
    """One claim on its way from parts to items."""

    database: Database
    blobs: BlobStore
    decoder: DecodingProcess
    staging: Path
    held: Held

    def run(self) -> None:
        for upload_id, report in self._reports():
            with self.database.writing() as session:
                record(session, self.held, upload_id, report)
        with self.database.writing() as session:
            keys = finish(session, self.held)
        remove_blobs(self.database, self.blobs, keys)

    def put_together(self, upload: Upload, file: Path) -> None:
        """Write an upload's bytes to a file. Raises CorruptPicture where some are gone."""
        query = select(UploadPart.sha256).where(UploadPart.upload_id == upload.id).order_by(UploadPart.offset)
        with self.database.reading() as session:
            keys = session.scalars(query).all()
        with file.open("xb") as target:
            for key in keys:
                self._renew()
                target.write(self._part(upload, key))
        if file.stat().st_size != upload.length:
            raise CorruptPicture(f"{upload.path} is no longer whole; upload it again")

    def _part(self, upload: Upload, key: str) -> bytes:
        try:
            return self.blobs.read(key)
        except MissingBlob as error:
            raise CorruptPicture(f"{upload.path} is no longer whole; upload it again: {error}") from error

    def _renew(self) -> None:
        if time.monotonic() - self.held.renewed > RENEWED:
            with self.database.writing() as session:
                _prove(session, self.held)

    def _reports(self) -> Iterator[tuple[int, FileReport]]:
        """What becomes of each file that has no report yet, with the upload that it came in."""
        recorded = self._recorded()
        files = [
            Uploaded(Path(upload.key), upload.path, upload=upload, importing=self)
            for upload in self.held.uploads
        ]
        loose = [file for file in files if not is_zip(Path(file.path))]
        for zipped in (file for file in files if is_zip(Path(file.path))):
            for report in self._unpacked(zipped, recorded):
                yield zipped.upload.id, report
        ids = {file.path: file.upload.id for file in reversed(loose)}
        for report in self._imported(_arrival(loose), recorded) if loose else ():
            yield ids.get(report.path, loose[0].upload.id), report

    def _recorded(self) -> Counter[str]:
        with self.database.reading() as session:
            return Counter(session.scalars(_reports_of(self.held).with_only_columns(ImportedFile.path)))

    def _unpacked(self, file: Uploaded, recorded: Counter[str]) -> Iterator[FileReport]:
        try:
            with file.local() as archive:
                arrival = arriving(archive, staging=self.staging)
                if not recorded:
                    self._expect(len(arrival.files) + len(arrival.left_out) - 1)
                yield from self._imported(arrival, recorded)
        except (InvalidInput, PictureError) as error:
            yield FileReport(file.path, RefusedPicture.reason, None, str(error))

    def _imported(self, arrival: Arrival, recorded: Counter[str]) -> Iterator[FileReport]:
        yield from _new(arrival.left_out, recorded)
        files = (replace(file, position=self._position()) for file in _new(arrival.files, recorded))
        yield from ingest(
            self.database, self.blobs, self.decoder, self.held.collection_id, files, user=self.held.user
        )

    def _position(self) -> int | None:
        """Files stand in the order in which they were announced, whichever is here first."""
        return self.held.behind + self.held.uploads[0].id if len(self.held.uploads) == 1 else None

    def _expect(self, more: int) -> None:
        """A zip counted as one file until it was opened."""
        with self.database.writing() as session:
            _prove(session, self.held)
            session.execute(update(Job).where(Job.id == self.held.job_id).values(total=Job.total + more))


def claim(session: Session) -> Held | None:
    """Take the next upload that waits, or None."""
    found = session.execute(
        select(Upload, Job)
        .join(Job, Job.id == Upload.job_id)
        .where(_claimable())
        .order_by(Upload.id)
        .limit(1)
        .with_for_update(of=Upload, skip_locked=True)
    ).first()
    if found is None:
        return None
    upload, job = found
    uploads = [upload]
    if job.options["together"]:
        query = select(Upload).where(Upload.job_id == job.id, Upload.state == UploadState.WAITING)
        uploads = list(session.scalars(query.order_by(Upload.id)))
    taken = update(Upload).where(Upload.id == upload.id).values(lease_expires=database_clock() + LEASE)
    lease = session.scalars(taken.returning(Upload.lease_expires)).one()
    user = session.get(User, job.user_id) if job.user_id else None
    return Held(
        job_id=job.id,
        collection_id=cast(int, job.collection_id),
        behind=job.options["behind"],
        user=user,
        uploads=uploads,
        lease=cast(float, lease),
    )


def record(session: Session, held: Held, upload_id: int, report: FileReport) -> None:
    """Keep a file's report and count it. Raises StaleToken when the upload is no longer ours."""
    _prove(session, held)
    session.add(
        ImportedFile(
            job_id=held.job_id,
            upload_id=upload_id,
            path=report.path,
            status=report.status,
            stored=report.stored,
            detail=report.detail,
            item_id=report.item_id,
        )
    )
    counter = {"done": Job.done + 1} if report.stored else {"failed": Job.failed + 1}
    session.execute(update(Job).where(Job.id == held.job_id).values(counter))


def finish(session: Session, held: Held) -> list[str]:
    """The uploads are imported; returns the blobs that are left behind.

    Files that failed keep their parts for a while, to be tried again. Raises StaleToken.
    """
    job = session.get_one(Job, held.job_id)
    lock_import(session, job)
    _prove(session, held)
    ids = [upload.id for upload in held.uploads]
    imported = update(Upload).where(Upload.id.in_(ids))
    session.execute(imported.values(state=UploadState.IMPORTED, lease_expires=None))
    query = _reports_of(held).where(~ImportedFile.stored).with_only_columns(ImportedFile.upload_id)
    failed = set(session.scalars(query))
    if failed and job.options["together"]:
        failed = set(ids)  # Their captions are in another file than they are.
    keys = forget_parts(session, [upload_id for upload_id in ids if upload_id not in failed])
    end_if_complete(session, job)
    return keys


def retry(session: Session, job: Job) -> int:
    """Import again what failed and is still here; returns how many files that is.

    Raises Conflict while files are on their way, and when nothing that failed is here any more.
    """
    lock_import(session, job)
    if session.scalar(select(exists().where(Upload.job_id == job.id, Upload.state.in_(OPEN)))):
        raise Conflict(f"import {job.id} is still at work; try again when it has ended")
    here = exists().where(UploadPart.upload_id == Upload.id)
    kept = select(Upload.id).where(Upload.job_id == job.id, here)
    reports = delete(ImportedFile).where(~ImportedFile.stored, ImportedFile.upload_id.in_(kept))
    ids = session.scalars(reports.returning(ImportedFile.upload_id)).all()
    if not ids:
        raise Conflict(
            "what failed is no longer here, because files are kept for a day only; upload it again"
        )
    again = update(Upload).where(Upload.id.in_(kept if job.options["together"] else set(ids)))
    session.execute(again.values(state=UploadState.WAITING, expires_at=utc_now() + LIFETIME))
    job.failed -= len(ids)
    job.state, job.finished_at = JobState.RUNNING, None
    session.flush()
    return len(ids)


def _arrival(files: Sequence[Uploaded]) -> Arrival:
    if len(files) == 1:
        return Arrival(files, [])
    try:
        return with_captions(files)
    except InvalidInput as error:
        return Arrival([], [FileReport(file.path, RefusedPicture.reason, None, str(error)) for file in files])


def _new(files: Iterable[Arrived], recorded: Counter[str]) -> Iterator[Arrived]:
    """Those that were not recorded by an attempt before this one."""
    for file in files:
        if recorded[file.path]:
            recorded[file.path] -= 1
        else:
            yield file


def _reports_of(held: Held) -> Select[ImportedFile]:
    ids = [upload.id for upload in held.uploads]
    return select(ImportedFile).where(ImportedFile.upload_id.in_(ids))


def _claimable() -> ColumnElement[bool]:
    now = database_clock()
    free = or_(Upload.lease_expires.is_(None), Upload.lease_expires < now, Upload.lease_expires > now + LEASE)
    other = Upload.__table__.alias()
    open_too = exists().where(other.c.job_id == Job.id, other.c.state == UploadState.RECEIVING)
    earlier = exists().where(
        other.c.job_id == Job.id, other.c.state == UploadState.WAITING, other.c.id < Upload.id
    )
    alone = ~Job.options["together"].as_boolean()
    complete = and_(~Job.options["open"].as_boolean(), ~open_too, ~earlier)
    return and_(Upload.state == UploadState.WAITING, Job.state.in_(WORKABLE), free, or_(alone, complete))


def _prove(session: Session, held: Held) -> None:
    """Renew the lease as the first statement of whatever is written. Raises StaleToken when it is lost."""
    lease = session.scalar(
        update(Upload)
        .where(
            Upload.id == held.uploads[0].id,
            Upload.lease_expires == held.lease,
            exists().where(Job.id == held.job_id, Job.state.in_(WORKABLE)),
        )
        .values(lease_expires=database_clock() + LEASE)
        .returning(Upload.lease_expires)
    )
    if lease is None:
        raise StaleToken(f"import {held.job_id} was cancelled, or another process goes on with it")
    held.lease, held.renewed = lease, time.monotonic()
