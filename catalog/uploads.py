"""Uploads: files on their way into a collection, received in parts that are blobs until they are imported."""

import secrets
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import IO, Any

from sqlalchemy import Select, and_, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from catalog import jobs
from catalog.blobs import BlobStore
from catalog.collections import visible_to
from catalog.database import Database, lock_content
from catalog.errors import Conflict, InvalidInput, NotAllowed, NotFound, UploadOverrun
from catalog.ingest import remove_blobs
from catalog.items import next_position
from catalog.jobs import UNFINISHED
from catalog.schema import (
    Collection,
    ImportedFile,
    Job,
    JobKind,
    JobState,
    Role,
    Upload,
    UploadPart,
    UploadState,
    User,
    utc_now,
)
from catalog.text import storable

PART_SIZE = 8 << 20  # bytes; a server that dies loses no more of an upload
PIECE = 64 << 10  # bytes read at a time
LONGEST = 1 << 40  # bytes of a file
LIFETIME = timedelta(days=1)  # since the last part, or since the import where a file failed
PATH_LENGTH = 1_000  # characters
UNFINISHED_UPLOAD = "unfinished"
OPEN = (UploadState.RECEIVING, UploadState.WAITING)
EXPIRED_AT_A_TIME = 100
IDS_AT_A_TIME = 500  # a statement may not name any number of them


def start_import(
    session: Session, collection: Collection, *, user: User | None, files: int = 0, together: bool = False
) -> Job:
    """Begin an import of so many files, which stays open until `close`.

    With `together` nothing is imported before all files are here, so that captions among them find their
    photos whatever the order.
    """
    job = Job(
        kind=JobKind.IMPORT,
        state=JobState.RUNNING,
        collection_id=collection.id,
        user_id=user.id if user else None,
        options={
            "open": True,
            "together": together,
            "announced": files,
            "behind": next_position(session, collection.id),
            "first": None,
        },
        total=files,
        started_at=utc_now(),
    )
    session.add(job)
    session.flush()
    return job


def current_import(session: Session, collection: Collection, *, user: User | None) -> Job:
    """The import for a client that names none: the user's running one of this kind, or a new one.

    It ends whenever none of its uploads is open.
    """
    mine = Job.user_id == user.id if user else Job.user_id.is_(None)
    running = select(Job).where(
        Job.kind == JobKind.IMPORT,
        Job.collection_id == collection.id,
        Job.state == JobState.RUNNING,
        ~Job.options["open"].as_boolean(),
        ~Job.options["together"].as_boolean(),
        mine,
    )
    if job := session.scalar(running.order_by(Job.id.desc()).limit(1).with_for_update()):
        return job
    job = start_import(session, collection, user=user)
    job.options = {**job.options, "open": False}
    return job


def own(session: Session, import_id: int, *, user: User) -> Job:
    """An import that the user may go on with: one of his own, and for admins any.

    Raises NotFound as `jobs.get` does, NotAllowed for somebody else's.
    """
    job = jobs.get(session, import_id, viewer=user, kind=JobKind.IMPORT)
    if user.role is not Role.ADMIN and job.user_id != user.id:
        raise NotAllowed(f"import {import_id} is somebody else's; ask whoever began it, or an admin")
    return job


def close(session: Session, job: Job) -> None:
    """No more files will come: the import ends with the last one that is here."""
    lock_import(session, job)
    job.options = {**job.options, "open": False}
    session.flush()
    end_if_complete(session, job)


def begin(session: Session, job: Job, *, path: str, length: int) -> Upload:
    """Announce a file. Raises InvalidInput, UploadOverrun, or Conflict for an import that has ended."""
    if length < 0:
        raise InvalidInput(f"the length is {length}; a file has 0 bytes or more")
    if length > LONGEST:
        raise UploadOverrun(f"{path} has {length:,} bytes; {LONGEST:,} at most can be uploaded")
    lock_import(session, job)
    if job.state not in UNFINISHED:
        raise Conflict(f"import {job.id} has ended already ({job.state}); begin another one")
    if job.options["together"] and not job.options["open"]:
        raise Conflict(f"import {job.id} is closed: all its files were there; begin another one")
    upload = Upload(
        key=secrets.token_hex(16),
        job_id=job.id,
        path=path,
        length=length,
        state=UploadState.RECEIVING if length else UploadState.WAITING,
        expires_at=utc_now() + LIFETIME,
    )
    session.add(upload)
    if not job.options["announced"]:
        job.total += 1
    session.flush()
    if job.options["first"] is None:
        job.options = {**job.options, "first": upload.id}
        session.flush()
    return upload


def get(session: Session, key: str, *, user: User | None, lock: bool = False) -> Upload:
    """The user's own upload. Raises NotFound also for one that was given up or has expired."""
    query = (
        select(Upload)
        .join(Job, Job.id == Upload.job_id)
        .join(Collection, Collection.id == Job.collection_id)
        .where(Upload.key == key, Upload.state != UploadState.EXPIRED, Job.state != JobState.CANCELLED)
        .where(visible_to(user))
    )
    if user:
        query = query.where(Job.user_id == user.id)
    upload = session.scalar(query.with_for_update(of=Upload) if lock else query)
    if upload is None:
        raise NotFound(f"there is no upload {key}; it may have expired: begin it again")
    return upload


def receive(
    database: Database, blobs: BlobStore, key: str, *, user: User | None, offset: int, stream: IO[bytes]
) -> int:
    """Append what the stream gives, each part kept for good before the next is read; returns the new offset.

    Where the connection breaks, what came is kept. Raises NotFound, Conflict where `offset` is not how much
    is here, and UploadOverrun for more bytes than were announced.
    """
    with database.reading() as session:
        check_room(get(session, key, user=user), offset, 0)
    for part in _parts(stream):
        _keep(database, blobs, key, user, offset, part)
        offset += len(part)
    return offset


def check_room(upload: Upload, offset: int, length: int) -> None:
    """Raise Conflict unless the next byte is that at `offset`, UploadOverrun when the last is too far."""
    if offset != upload.received:
        raise Conflict(f"{upload.path} is here up to byte {upload.received}; go on there, not at {offset}")
    if offset + length > upload.length:
        raise UploadOverrun(f"{upload.path} was announced with {upload.length} bytes, but there are more")


def give_up(session: Session, upload: Upload) -> list[str]:
    """End an upload that is not imported yet; returns the blobs that its parts leave behind.

    Raises Conflict when it is too late.
    """
    if upload.state is not UploadState.RECEIVING:
        raise Conflict(f"{upload.path} is here already; delete the photo itself")
    keys = forget_parts(session, [upload.id])
    job = session.get_one(Job, upload.job_id)
    lock_import(session, job)
    session.delete(upload)
    session.flush()
    job.total -= 1
    end_if_complete(session, job)
    return keys


def forget_parts(session: Session, upload_ids: Sequence[int]) -> list[str]:
    """Delete what was received of some uploads; returns the blobs that this leaves behind."""
    keys: set[str] = set()
    for start in range(0, len(upload_ids), IDS_AT_A_TIME):
        some = upload_ids[start : start + IDS_AT_A_TIME]
        gone = delete(UploadPart).where(UploadPart.upload_id.in_(some))
        keys.update(session.scalars(gone.returning(UploadPart.sha256)))
    return sorted(keys)


def expire(database: Database, blobs: BlobStore) -> None:
    """Collect what nobody went on with: parts of old uploads, and imports that were never closed."""
    while _is_any(database, _useless().limit(1)):
        with database.writing() as session:
            keys = _expire_some(session)
        remove_blobs(database, blobs, keys)
    if _is_any(database, _abandoned().limit(1)):
        with database.writing() as session:
            for job in session.scalars(_abandoned()):
                close(session, job)


def lock_import(session: Session, job: Job) -> None:
    """Hold an import's row, as everybody does who counts for it or ends it."""
    session.flush()
    session.refresh(job, with_for_update=True)


def end_if_complete(session: Session, job: Job) -> None:
    """End an import that is closed and has nothing left to receive or to import."""
    still_open = exists().where(Upload.job_id == job.id, Upload.state.in_(OPEN))
    if job.options["open"] or job.state not in UNFINISHED or session.scalar(select(still_open)):
        return
    job.total = job.done + job.failed
    job.state, job.finished_at = JobState.DONE, utc_now()
    session.flush()


def item_path(name: str | None) -> str:
    """The path under which an uploaded file is known: relative, and never upwards."""
    slashed = storable(name or "").replace("\\", "/")[-PATH_LENGTH:]
    parts = [part for part in slashed.split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or "unnamed"


def _parts(stream: IO[bytes]) -> Iterator[bytes]:
    """The stream in parts; what came before it broke is a part, too."""
    part = bytearray()
    try:
        while piece := stream.read(min(PIECE, PART_SIZE - len(part))):
            part += piece
            if len(part) == PART_SIZE:
                yield bytes(part)
                part.clear()
    except Exception:
        if part:
            yield bytes(part)
        raise
    if part:
        yield bytes(part)


def _keep(
    database: Database, blobs: BlobStore, key: str, user: User | None, offset: int, part: bytes
) -> None:
    sha256 = blobs.put(part)
    try:
        with database.writing() as session:
            lock_content(session, sha256)
            if not blobs.exists(sha256):
                # A deletion of the same bytes came between; store them again under the lock.
                blobs.put(part)
            upload = get(session, key, user=user, lock=True)
            check_room(upload, offset, len(part))
            session.add(UploadPart(upload_id=upload.id, offset=offset, sha256=sha256))
            upload.received += len(part)
            upload.expires_at = utc_now() + LIFETIME
            if upload.received == upload.length:
                upload.state = UploadState.WAITING
    except BaseException:
        remove_blobs(database, blobs, [sha256])
        raise


def _is_any(database: Database, query: Select[Any]) -> bool:
    """Whether there is anything to do, asked without holding off those who write."""
    with database.reading() as session:
        return session.scalars(query).first() is not None


def _useless() -> Select[Upload]:
    """Uploads whose parts nobody will ask for any more."""
    has_parts = exists().where(UploadPart.upload_id == Upload.id)
    old = and_(Upload.expires_at < utc_now(), Upload.state != UploadState.WAITING)
    return (
        select(Upload)
        .join(Job, Job.id == Upload.job_id)
        .where(
            or_(Upload.state == UploadState.RECEIVING, has_parts), or_(old, Job.state == JobState.CANCELLED)
        )
        .order_by(Upload.id)
    )


def _expire_some(session: Session) -> list[str]:
    """Give some uploads up; returns the blobs that they leave behind."""
    some = _useless().limit(EXPIRED_AT_A_TIME).with_for_update(of=Upload, skip_locked=True)
    uploads = session.scalars(some).all()
    for upload in uploads:
        if upload.state is UploadState.RECEIVING:
            _report_unfinished(session, upload)
        upload.state = UploadState.EXPIRED
    return forget_parts(session, [upload.id for upload in uploads])


def _report_unfinished(session: Session, upload: Upload) -> None:
    counted = update(Job).where(Job.id == upload.job_id, Job.state != JobState.CANCELLED)
    if session.scalar(counted.values(failed=Job.failed + 1).returning(Job.id)) is None:
        return
    detail = f"{upload.received:,} of {upload.length:,} bytes came before the upload expired; send it again"
    session.add(
        ImportedFile(
            job_id=upload.job_id,
            upload_id=upload.id,
            path=upload.path,
            status=UNFINISHED_UPLOAD,
            stored=False,
            detail=detail,
        )
    )


def _abandoned() -> Select[Job]:
    """Imports whose last upload is older than LIFETIME, still open or with nothing left to do."""
    recent = exists().where(Upload.job_id == Job.id, Upload.expires_at > utc_now())
    waiting = exists().where(Upload.job_id == Job.id, Upload.state.in_(OPEN))
    return select(Job).where(
        Job.kind == JobKind.IMPORT,
        Job.state.in_(UNFINISHED),
        Job.created_at < utc_now() - LIFETIME,
        ~recent,
        ~waiting | Job.options["open"].as_boolean(),
    )
