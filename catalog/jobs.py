"""Jobs as people see them: started, found, and what failed. `catalog.chunks` is the worker's side."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, func, insert, literal, or_, select, true
from sqlalchemy.orm import Session

from catalog import job_events
from catalog.collections import visible_to
from catalog.errors import InvalidInput, NotFound
from catalog.pages import PAGE_SIZE, Listing, listing
from catalog.schema import (
    Caption,
    CaptionKind,
    CaptionState,
    Checkpoint,
    Chunk,
    Collection,
    Draft,
    Image,
    Item,
    Job,
    JobItem,
    JobItemState,
    JobKind,
    JobState,
    Origin,
    Role,
    User,
    utc_now,
)

CHUNK_SIZE = 64  # items: about five seconds of work on two CPU cores with a ResNet-50
MODES = ("fill", "add", "replace")
PRIORITIES = (-100, 100)  # the lowest and the highest that people may give
WORKABLE = (JobState.QUEUED, JobState.RUNNING)
UNFINISHED = (*WORKABLE, JobState.PAUSED)
# What a worker has to know to do a job. Raise it when jobs begin to ask for what older workers cannot do:
# these leave such jobs to others.
PROTOCOL = 1


@dataclass(frozen=True)
class Failure:
    """An item that a job could not do, and why."""

    item_id: int
    path: str
    sha256: str
    error: str


def is_of_jobs() -> ColumnElement[bool]:
    """Whether a text is of the kind that jobs write: other kinds they neither miss nor touch."""
    return Caption.kind == CaptionKind.CAPTION


def has_caption() -> ColumnElement[bool]:
    """Whether an item holds any caption; alt texts and descriptions are none."""
    return exists().where(Caption.item_id == Item.id, is_of_jobs())


def touched_by_people() -> ColumnElement[bool]:
    """Whether somebody wrote, edited, accepted or rejected an item's caption, or flagged or drafted on it."""
    person_decided = or_(
        Caption.origin != Origin.MODEL, Caption.state != CaptionState.CANDIDATE, Caption.version > 1
    )
    return or_(
        Item.flagged,
        exists().where(Caption.item_id == Item.id, is_of_jobs(), person_decided),
        exists().where(Draft.item_id == Item.id),
    )


def holds_work_of_people() -> ColumnElement[bool]:
    """Whether deleting an item would lose anything that people did on it, whatever the kind of text.

    What only came along with a picture and stands in it still is no such work.
    """
    theirs = or_(Caption.origin.not_in((Origin.MODEL, Origin.IMPORTED)), Caption.version > 1)
    return or_(touched_by_people(), exists().where(Caption.item_id == Item.id, theirs))


def may_write(mode: str) -> ColumnElement[bool]:
    """The items that a caption job of this mode writes to: asked at the start and again when writing."""
    conditions: dict[str, ColumnElement[bool]] = {
        "fill": ~has_caption(),
        "add": true(),
        "replace": ~touched_by_people(),
    }
    if mode not in conditions:
        raise InvalidInput(f"mode {mode!r} is unknown; use one of {', '.join(MODES)}")
    return conditions[mode]


def create_caption_job(
    session: Session,
    collection: Collection,
    *,
    checkpoint: Checkpoint,
    user: User | None,
    mode: str = "fill",
    priority: int = 0,
) -> Job:
    """Write a caption job with its chunks; publish a wake-up once it is committed.

    A job without items to do is done at once.
    """
    job = Job(
        kind=JobKind.CAPTION,
        collection_id=collection.id,
        checkpoint_id=checkpoint.id,
        user_id=user.id if user else None,
        options={"mode": mode},
        priority=priority,
        protocol=PROTOCOL,
    )
    eligible = (Item.collection_id == collection.id, may_write(mode))
    session.add(job)
    session.flush()
    job.total = _slice(session, job, eligible)
    job_events.append(session, job.id, "created", f"created for {counted(job.total, 'item')}", user=user)
    if job.total == 0:
        job.state, job.finished_at = JobState.DONE, utc_now()
    session.flush()
    return job


def get(session: Session, job_id: int, *, viewer: User | None, kind: JobKind | None = None) -> Job:
    """Raises NotFound for a job that is not there, works on a collection hidden from the viewer, or is of
    another kind."""
    job = session.scalar(select(Job).where(Job.id == job_id, visible(viewer)))
    if job is None or kind not in (None, job.kind):
        raise NotFound(f"there is no {kind or ''} job {job_id}".replace("  ", " "))
    return job


def recent(
    session: Session,
    *,
    viewer: User | None,
    collection: Collection | None = None,
    after: int | None = None,
    limit: int = 50,
) -> Listing[Job]:
    """The jobs that the viewer may see, newest first."""
    query = select(Job).where(visible(viewer)).order_by(Job.id.desc()).limit(limit + 1)
    if collection:
        query = query.where(Job.collection_id == collection.id)
    if after is not None:
        query = query.where(Job.id < after)
    return listing(session.scalars(query).all(), limit, lambda job: job.id)


def failures(
    session: Session, job: Job, *, after: int | None = None, limit: int = PAGE_SIZE
) -> Listing[Failure]:
    """The items that the job could not do, in the order of their ids."""
    rows = session.execute(
        select(JobItem.item_id, Item.path, Image.sha256, JobItem.error)
        .join(Item, Item.id == JobItem.item_id)
        .join(Image, Image.id == Item.image_id)
        .where(JobItem.job_id == job.id, JobItem.state == JobItemState.FAILED, JobItem.item_id > (after or 0))
        .order_by(JobItem.item_id)
        .limit(limit + 1)
    )
    found = [Failure(item_id, path, sha256, error or "") for item_id, path, sha256, error in rows]
    return listing(found, limit, lambda failure: failure.item_id)


def visible(viewer: User | None) -> ColumnElement[bool]:
    """The jobs that somebody may know of; None is the command line, which sees all."""
    if viewer is None or viewer.role is Role.ADMIN:
        return true()
    return Job.collection_id.in_(select(Collection.id).where(visible_to(viewer)))


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _slice(session: Session, job: Job, eligible: tuple[ColumnElement[bool], ...]) -> int:
    """Cut the eligible items into chunks of CHUNK_SIZE; returns how many items there are.

    Items may come and go between the two statements: the second takes no more than there are chunks for, and
    an empty chunk is finished by the worker that claims it.
    """
    count = session.scalar(select(func.count()).select_from(Item).where(*eligible)) or 0
    if count == 0:
        return 0
    numbers = range((count + CHUNK_SIZE - 1) // CHUNK_SIZE)
    session.execute(insert(Chunk), [{"job_id": job.id, "number": number} for number in numbers])
    place = func.row_number().over(order_by=(Item.position, Item.id)) - 1
    chosen = (
        select(
            literal(job.id, JobItem.job_id.type),
            Item.id,
            place // CHUNK_SIZE,
            literal(JobItemState.QUEUED, JobItem.state.type),
            literal(False),
            literal(0),
        )
        .where(*eligible)
        .order_by(Item.position, Item.id)
        .limit(count)
    )
    columns = ["job_id", "item_id", "chunk_number", "state", "in_hand", "found_in_hand"]
    session.execute(insert(JobItem).from_select(columns, chosen, include_defaults=False))
    return session.scalar(select(func.count()).where(JobItem.job_id == job.id)) or 0
