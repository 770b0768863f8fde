"""What happened to a job: its timeline and its log, written in the transaction that does what they tell."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from catalog.pages import PAGE_SIZE, Listing, listing
from catalog.schema import Job, JobEvent, Severity, User
from catalog.text import storable

DETAILS_LENGTH = 20_000  # characters of a traceback, its end
LOG_PAGE = 200  # events of a log that are in memory at a time


@dataclass(frozen=True)
class Line:
    """One event as people read it: `who` is a user's name, or None for the command line and the system."""

    event: JobEvent
    who: str | None


def append(
    session: Session,
    job_id: int,
    action: str,
    text: str,
    *,
    severity: Severity = Severity.INFO,
    details: str | None = None,
    user: User | None = None,
    worker: str | None = None,
) -> None:
    """Add an event. `action` is a word for programs, `text` a sentence for people."""
    event = JobEvent(
        job_id=job_id,
        action=action,
        severity=severity,
        text=storable(text),
        details=storable(details[-DETAILS_LENGTH:], keep="\n") if details else None,
        user_id=user.id if user else None,
        worker=worker,
    )
    session.add(event)
    session.flush()


def append_once(session: Session, job_id: int, action: str, text: str, **more: Any) -> None:
    """Add an event unless the same has happened to the job: what goes wrong over and over is told once."""
    same = select(JobEvent.id).where(JobEvent.job_id == job_id, JobEvent.action == action)
    if session.scalar(same.where(JobEvent.text == storable(text)).limit(1)) is None:
        append(session, job_id, action, text, **more)


def newest(session: Session, job: Job, *, after: int | None = None, limit: int = PAGE_SIZE) -> Listing[Line]:
    """The events of a job, newest first, with the names of the people in them."""
    query = _lines(job).order_by(JobEvent.id.desc()).limit(limit + 1)
    if after is not None:
        query = query.where(JobEvent.id < after)
    lines = [Line(event, who) for event, who in session.execute(query)]
    return listing(lines, limit, lambda line: line.event.id)


def log(session: Session, job: Job) -> Iterator[str]:
    """The log of a job as text, oldest event first, with tracebacks; it is read as it is taken."""
    query = _lines(job).order_by(JobEvent.id).execution_options(yield_per=LOG_PAGE)
    for event, who in session.execute(query):
        yield as_text(Line(event, who)) + "\n" + _indented(event.details or "")


def as_text(line: Line) -> str:
    """An event in one line, without its details."""
    event, by = line.event, line.who or line.event.worker
    said = f"{event.created_at:%Y-%m-%d %H:%M:%S} UTC  {event.severity:<7}  {event.text}"
    return f"{said} ({by})" if by else said


def _lines(job: Job) -> Select[JobEvent, str]:
    who = select(JobEvent, User.name).outerjoin(User, User.id == JobEvent.user_id)
    return who.where(JobEvent.job_id == job.id)


def _indented(details: str) -> str:
    return "".join(f"    {row}\n" for row in details.splitlines())
