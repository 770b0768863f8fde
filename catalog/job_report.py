"""How jobs stand, as the command line tells it: a line each, or all about one of them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy.orm import Session

from catalog import collections, job_commands, job_events, jobs, roster, training_runs
from catalog.job_events import Line
from catalog.pace import Pace, in_words, left_in_words, paces
from catalog.roster import Post
from catalog.schema import Job, JobKind, JobState

COLUMNS = ("id", "kind", "state", "paused_because", "total", "done", "failed", "skipped", "priority", "error")
LAST = 10  # events that are shown
SHOWN = 100  # failures that are shown


def described(session: Session, found: Sequence[Job]) -> list[dict[str, Any]]:
    """The jobs as scripts read them."""
    names = collections.names(session, {job.collection_id for job in found if job.collection_id})
    at = paces(session, found)
    return [
        {name: getattr(job, name) for name in COLUMNS}
        | {"collection": names.get(job.collection_id or 0)}
        | asdict(at[job.id])
        for job in found
    ]


def in_a_line(job: dict[str, Any]) -> str:
    """A described job in a list."""
    counts = f"{job['done']} of {job['total']} done, {job['failed']} failed, {job['skipped']} skipped"
    told = [counts, _pace(job), f"paused: {job['paused_because']}" if job["paused_because"] else ""]
    return f"{job['id']:>6}  {job['kind']:<8} {job['state']:<10} {', '.join(part for part in told if part)}"


def report(session: Session, job: Job, *, address: str) -> dict[str, Any]:
    """All about one job, as scripts read it; its first failures and its last events."""
    (told,) = described(session, [job])
    posts = [post for post in roster.roster(session, viewer=None) if post.job_id == job.id]
    lines = job_commands.commands(session, job, address=address)
    trains = job.kind is JobKind.TRAIN
    return {
        **told,
        "training": training_runs.report(session, job) if trains else None,
        "workers": [_post(post) for post in posts],
        "failures": [asdict(failure) for failure in jobs.failures(session, job, limit=SHOWN).rows],
        "events": [_event(line) for line in job_events.newest(session, job, limit=LAST).rows],
        "commands": asdict(lines) if lines else None,
    }


def in_full(told: dict[str, Any]) -> str:
    """A report for people to read."""
    return "\n".join(_lines(told))


def _lines(told: dict[str, Any]) -> Iterator[str]:
    yield f"job {told['id']}: {told['kind']} {told['collection'] or ''}, {told['state']}"
    if told["state"] == JobState.PAUSED:
        yield f"  {pause_in_words(told['paused_because'])}"
    yield (
        f"  {told['done']:,} of {told['total']:,} done, {told['failed']:,} failed, "
        f"{told['skipped']:,} skipped; priority {told['priority']}"
    )
    if pace := _pace(told):
        yield f"  {pace}"
    if told["training"]:
        yield f"  {_training(told['training'])}"
    if told["error"]:
        yield f"  error: {told['error']}"
    for post in told["workers"]:
        trouble = f"; {post['trouble']}" if post["trouble"] else ""
        yield f"  {post['name']} on {post['device']} is at chunk {post['chunk']}{trouble}"
    if told["failures"]:
        yield "failed"
        yield from (f"{one['item_id']:>8}  {one['path']}: {one['error']}" for one in told["failures"])
        if more := told["failed"] - len(told["failures"]):
            yield f"          and {more:,} more"
    yield "what happened last"
    yield from (f"  {_said(event)}" for event in told["events"])
    if told["commands"]:
        yield "the same once more"
        yield from (f"  {line}" for line in told["commands"].values())


def _training(told: dict[str, Any]) -> str:
    """How a training stands, in a line."""
    parts = [told["stage"], *([f"into {told['checkpoint']}"] if told["checkpoint"] else [])]
    if told["loss"] is not None:
        parts.append(f"loss {told['loss']:.3f}")
    if told["cider"] is not None:
        parts.append(f"best validation CIDEr {told['cider']:.3f}")
    if told["seconds_left"] is not None:
        parts.append(left_in_words(told["seconds_left"]))
    return ", ".join(parts)


def pause_in_words(reason: str | None) -> str:
    """Why a job is paused and how it goes on."""
    return f"paused, and goes on by itself: {reason}" if reason else "paused until somebody resumes it"


def _said(event: dict[str, Any]) -> str:
    by = event["user"] or event["worker"]
    said = f"{event['created_at']}  {event['severity']:<7}  {event['text']}"
    return f"{said} ({by})" if by else said


def _pace(told: dict[str, Any]) -> str:
    return in_words(Pace(told["items_per_second"], told["seconds_left"]))


def _post(post: Post) -> dict[str, Any]:
    names = ("name", "device", "host", "version", "trouble")
    return {name: getattr(post.worker, name) for name in names} | {"chunk": post.chunk}


def _event(line: Line) -> dict[str, Any]:
    names = ("id", "action", "severity", "text", "details", "worker")
    told = {name: getattr(line.event, name) for name in names}
    return told | {"user": line.who, "created_at": line.event.created_at.isoformat(timespec="seconds")}
