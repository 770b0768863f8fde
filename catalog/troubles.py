"""What keeps jobs from going on, in plain words and with what to do about it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from catalog import chunks, space, training_runs, workers
from catalog.database import Database
from catalog.jobs import UNFINISHED
from catalog.queue import CAPTION_QUEUE, TRAIN_QUEUE, Queue, queue_of
from catalog.schema import Job, JobKind, JobState, Worker
from catalog.settings import Settings

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Trouble:
    """Something that is wrong, as a sentence, and what helps, as another one."""

    what: str
    remedy: str


def troubles(session: Session, settings: Settings, database: Database, queue: Queue) -> list[Trouble]:
    """All that is known to be wrong. What the broker says is as old as the last turn of a reconciler."""
    return [
        *_of_the_broker(settings, queue),
        *_of_disks(settings, database),
        *_of_paused_jobs(session),
        *_of_workers(workers.mourned(session), workers.alive(session)),
        *_of_old_workers(session),
    ]


def nobody_works(session: Session) -> Iterator[Trouble]:
    """That jobs wait and no worker runs that does such: no trouble on a page that says so anyway."""
    if chunks.work_waits(session) and not workers.alive(session, queue=CAPTION_QUEUE):
        yield Trouble("Jobs wait, and no worker is running.", "Start one with `recaption worker`.")
    if training_runs.work_waits(session) and not workers.alive(session, queue=TRAIN_QUEUE):
        yield Trouble(
            "A train job waits, and no worker that trains is running.",
            "Start one with `recaption worker --queue train`.",
        )


def _of_the_broker(settings: Settings, queue: Queue) -> Iterator[Trouble]:
    if queue.trouble:
        where = "its folder" if settings.embedded_broker else _without_password(settings.broker_url)
        yield Trouble(
            f"The broker ({where}) does not answer: {queue.trouble}",
            "Start it again, or correct RECAPTION_BROKER_URL. Nothing is lost: jobs go on by themselves.",
        )


def _of_disks(settings: Settings, database: Database) -> Iterator[Trouble]:
    folders = [database.folder, settings.home, settings.blobs if isinstance(settings.blobs, Path) else None]
    disks = {folder.stat().st_dev: folder for folder in folders if folder and folder.exists()}
    for folder in disks.values():
        left = space.free(folder)
        if left < space.LOW:
            yield Trouble(
                f"The disk that holds {str(folder)!r} is almost full: {left / MEGABYTE:.0f} MB are left.",
                "Free some space there. Jobs that were paused for want of room go on by themselves.",
            )


def _of_paused_jobs(session: Session) -> Iterator[Trouble]:
    held_up = (Job.state == JobState.PAUSED, Job.paused_because.is_not(None))
    counts = select(Job.paused_because, func.count()).where(*held_up).group_by(Job.paused_because)
    for reason, number in session.execute(counts.order_by(Job.paused_because)):
        jobs = "A job is" if number == 1 else f"{number:,} jobs are"
        yield Trouble(
            f"{jobs} paused: {reason}.", "What is paused goes on by itself, within half a minute of that."
        )


def _of_workers(mourned: Sequence[Worker], living: Sequence[Worker]) -> Iterator[Trouble]:
    for worker in mourned:
        yield Trouble(
            f"The worker {worker.name} on {worker.device} died, or its machine is cut off.",
            "Others take over what it had in hand within a minute. If it does not come back by itself, "
            "start it again with `recaption worker`; its log tells why it ended.",
        )
    for worker in living:
        if worker.trouble:
            yield Trouble(
                f"The worker {worker.name} cannot work: {worker.trouble.rstrip('.')}.",
                "Its log on that machine tells more. Others do its work meanwhile.",
            )


def _of_old_workers(session: Session) -> Iterator[Trouble]:
    of_workers = Job.kind.in_((JobKind.CAPTION, JobKind.TRAIN))
    newest = select(Job.kind, func.max(Job.protocol)).where(Job.state.in_(UNFINISHED), of_workers)
    wanted = {queue_of(kind): protocol for kind, protocol in session.execute(newest.group_by(Job.kind))}
    for worker in workers.alive(session):
        if worker.protocol < wanted.get(worker.queue, 0):
            yield Trouble(
                f"The worker {worker.name} (version {worker.version}) is too old for a job that waits, "
                "and leaves it to others.",
                "Install this release on its machine and start it again.",
            )


def _without_password(url: str) -> str:
    """The address of a broker, or of several with semicolons between them."""
    return re.sub(r"//[^@/;]*@", "//***@", re.sub(r":[^:@/;]*@", ":***@", url))
