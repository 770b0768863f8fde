"""Claims on what was uploaded: one process at a time imports it, and proves so with all that it records."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, and_, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from catalog.database import database_clock
from catalog.errors import Conflict, StaleToken
from catalog.ingest import FileReport
from catalog.jobs import WORKABLE
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

LEASE = 60.0  # seconds


@dataclass
class Held:
    """Uploads of one import that this process has to itself until `lease` on the database's clock.

    The first of them carries the lease for all. The id of an upload and `place` are its position in the
    collection. `attempts` counts claims, this one too, since the last report.
    """

    job_id: int
    collection_id: int
    place: int
    together: bool
    attempts: int
    user: User | None
    uploads: Sequence[Upload]
    lease: float
    renewed: float = field(default_factory=time.monotonic)


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
    taken = update(Upload).where(Upload.id == upload.id)
    values = {"lease_expires": database_clock() + LEASE, "attempts": Upload.attempts + 1}
    lease, attempts = session.execute(
        taken.values(values).returning(Upload.lease_expires, Upload.attempts)
    ).one()
    user = session.get(User, job.user_id) if job.user_id else None
    return Held(
        job_id=job.id,
        collection_id=cast(int, job.collection_id),
        place=job.options["behind"] - job.options["first"],
        together=job.options["together"],
        attempts=attempts,
        user=user,
        uploads=uploads,
        lease=cast(float, lease),
    )


def record(session: Session, held: Held, upload_id: int, report: FileReport) -> None:
    """Keep a file's report and count it. Raises StaleToken when the upload is no longer ours."""
    # The import's row comes first, as for all who delete or end one.
    counter = {"done": Job.done + 1} if report.stored else {"failed": Job.failed + 1}
    session.execute(update(Job).where(Job.id == held.job_id).values(counter))
    prove(session, held, attempts=0)
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


def finish(session: Session, held: Held) -> list[str]:
    """The uploads are imported; returns the blobs that are left behind.

    Files that failed keep their parts for a while, to be tried again. Raises StaleToken.
    """
    job = session.get(Job, held.job_id, with_for_update=True)
    prove(session, held)
    if job is None:
        raise StaleToken(f"import {held.job_id} was deleted with its collection")
    failed = set(session.scalars(_reports_of(held, ImportedFile.upload_id).where(~ImportedFile.stored)))
    # Where captions are in another file than their photos, all stay for those that are tried again.
    done = [] if failed and held.together else [one.id for one in held.uploads if one.id not in failed]
    keys = forget_parts(session, done)
    imported = update(Upload).where(Upload.state == UploadState.WAITING, _its_uploads(held))
    kept_until = utc_now() + LIFETIME
    session.execute(imported.values(state=UploadState.IMPORTED, lease_expires=None, expires_at=kept_until))
    end_if_complete(session, job)
    return keys


def retry(session: Session, job: Job) -> int:
    """Import again what failed and is still here; returns how many files that is.

    Raises Conflict while files are on their way, and when nothing that failed is here any more.
    """
    lock_import(session, job)
    if session.scalar(select(exists().where(Upload.job_id == job.id, Upload.state.in_(OPEN)))):
        raise Conflict(f"import {job.id} is still at work; try again when it has ended")
    failed = and_(ImportedFile.job_id == job.id, ~ImportedFile.stored)
    here = exists().where(UploadPart.upload_id == Upload.id)
    kept = and_(Upload.job_id == job.id, here)
    of_failed = Upload.id.in_(select(ImportedFile.upload_id).where(failed))
    again = update(Upload).where(kept if job.options["together"] else and_(kept, of_failed))
    session.execute(again.values(state=UploadState.WAITING, attempts=0))
    reports = delete(ImportedFile).where(failed, ImportedFile.upload_id.in_(select(Upload.id).where(kept)))
    count = cast(CursorResult[Any], session.execute(reports)).rowcount
    if count == 0:
        raise Conflict(
            "what failed is no longer here, because files are kept for a day only; upload it again"
        )
    job.failed -= count
    job.state, job.finished_at = JobState.RUNNING, None
    session.flush()
    return count


def recorded(session: Session, held: Held) -> Counter[str]:
    """How many files of each path have a report from an attempt before this one."""
    return Counter(session.scalars(_reports_of(held, ImportedFile.path)))


def _its_uploads(held: Held) -> ColumnElement[bool]:
    # Nothing is added to an import whose files belong together once it is claimed.
    return Upload.job_id == held.job_id if held.together else Upload.id == held.uploads[0].id


def _reports_of(held: Held, column: Any) -> Any:
    """A column of the reports that there are of its uploads."""
    uploads = select(Upload.id).where(_its_uploads(held))
    return select(column).where(ImportedFile.job_id == held.job_id, ImportedFile.upload_id.in_(uploads))


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


def prove(session: Session, held: Held, **values: int) -> None:
    """Renew the lease ahead of whatever is written. Raises StaleToken when it is lost.

    `values` are set on the upload that carries it.
    """
    lease = session.scalar(
        update(Upload)
        .where(
            Upload.id == held.uploads[0].id,
            Upload.lease_expires == held.lease,
            exists().where(Job.id == held.job_id, Job.state.in_(WORKABLE)),
        )
        .values(lease_expires=database_clock() + LEASE, **values)
        .returning(Upload.lease_expires)
    )
    if lease is None:
        raise StaleToken(f"import {held.job_id} was cancelled, or another process goes on with it")
    held.lease, held.renewed = lease, time.monotonic()
