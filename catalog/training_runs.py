"""Train jobs, the worker's side: claim, tell how it stands, publish the checkpoint, end.

What holds for chunks (`catalog.chunks`) holds here: every write begins by proving the token, so that a worker
which lost its job can neither publish nor count.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from catalog import checkpoints, chunks, job_events
from catalog.blobs import BlobStore
from catalog.chunks import POISON_AFTER, Held, lapsed, lease, let_go, prove, take
from catalog.database import Database, database_clock
from catalog.errors import Conflict
from catalog.ingest import remove_blobs
from catalog.jobs import UNFINISHED
from catalog.schema import (
    Checkpoint,
    Chunk,
    ChunkState,
    Dataset,
    Job,
    JobKind,
    JobState,
    Severity,
    TrainingRun,
    User,
    utc_now,
)

MOST_LOSSES = 400  # pairs that are kept: every other one goes when there are more
TAKEN_OVER = "taken_over"  # how often since the last epoch, among what the child said of its progress
NAMES = 5  # attempts at a name that nobody else takes meanwhile


@dataclass(frozen=True)
class HeldRun(Held):
    """A train job in this worker's hands: its options, what it goes on from, what it has come to.

    `candidate_id` is the checkpoint that it has published, or that it only measures; `files_sha256` the saved
    files of its training.
    """

    dataset_id: int | None
    base_id: int | None
    candidate_id: int | None
    files_sha256: str | None
    options: dict[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Told:
    """What a child process says of its training: its progress.json, and a row an epoch."""

    progress: dict[str, Any]
    epochs: Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Brief:
    """A run in a list: its stage, and whether it trains or only measures."""

    stage: str
    trains: bool


@dataclass(frozen=True)
class Standing:
    """How a run stands, for people; what is not known yet is None. `seconds_left` is of all training."""

    stage: str
    epoch: int | None
    epochs: int | None
    step: int | None
    steps: int | None
    loss: float | None
    seconds_left: float | None


def run_of(session: Session, job: Job) -> TrainingRun:
    """What a train job is about."""
    return session.get_one(TrainingRun, job.id, populate_existing=True)


def briefs(session: Session, job_ids: Sequence[int]) -> dict[int, Brief]:
    """Train jobs in lists, by the id of the job, in one statement."""
    rows = session.execute(
        select(TrainingRun.job_id, TrainingRun.stage, TrainingRun.dataset_id.is_not(None)).where(
            TrainingRun.job_id.in_(job_ids)
        )
    )
    return {job_id: Brief(stage, trains) for job_id, stage, trains in rows}


def standing(session: Session, job: Job) -> Standing:
    """How a train job stands. The time left is told only while it runs."""
    run = run_of(session, job)
    said = {name: run.progress.get(name) for name in ("epoch", "epochs", "step", "steps", "loss")}
    runs = job.state is JobState.RUNNING
    left = run.progress.get("seconds_left") if runs and run.stage == "training" else None
    return Standing(stage=run.stage, seconds_left=left, **said)


def report(session: Session, job: Job) -> dict[str, Any]:
    """How a train job stands, as scripts read it: also its best score and the checkpoint that it has made."""
    run = run_of(session, job)
    scores = [row.get("scores", {}).get("cider", 0.0) for row in run.epochs]
    made = select(Checkpoint.name).where(Checkpoint.id == run.checkpoint_id)
    return {
        **asdict(standing(session, job)),
        "cider": max(scores, default=None),
        "data": run.data,
        "checkpoint": session.scalar(made),
    }


def work_waits(session: Session) -> bool:
    """Whether there is a train job to claim, though it may have to wait for another one of its line."""
    return chunks.work_waits(session, JobKind.TRAIN)


def claim(session: Session, *, worker_id: int) -> HeldRun | None:
    """Take the next train job, or None when none waits or others of their lines are at work.

    One that was taken over POISON_AFTER times without an epoch between them fails: it ends its workers.
    """
    while taken := take(session, JobKind.TRAIN, worker_id=worker_id, free=_line_is_free):
        job, chunk = taken
        run = run_of(session, job)
        held = _held(job, chunk, run)
        if not _is_poison(chunk, run):
            return held
        session.flush()
        text = f"workers died or hung {POISON_AFTER} times over it; see to their memory, then try it again"
        fail(session, held, text)
    return None


def _is_poison(chunk: Chunk, run: TrainingRun) -> bool:
    """Count a takeover, and tell whether there were too many. What was given back was not taken over."""
    if chunk.one_by_one:
        chunk.one_by_one = False
        run.progress = {**run.progress, TAKEN_OVER: run.progress.get(TAKEN_OVER, 0) + 1}
    return bool(run.progress.get(TAKEN_OVER, 0) >= POISON_AFTER)


def _held(job: Job, chunk: Chunk, run: TrainingRun) -> HeldRun:
    return HeldRun(
        job_id=job.id,
        number=chunk.number,
        token=chunk.token,
        dataset_id=run.dataset_id,
        base_id=job.checkpoint_id,
        candidate_id=run.checkpoint_id,
        files_sha256=run.files_sha256,
        options=job.options,
    )


def renew(session: Session, held: HeldRun, told: Told | None = None) -> JobState:
    """Lengthen the lease and keep what the child said; returns the job's state, which may ask for a pause.

    Raises StaleToken when the job was cancelled or taken over.
    """
    prove(session, held, lease_expires=lease())
    if told:
        _keep(session, held, told)
    return session.execute(select(Job.state).where(Job.id == held.job_id)).scalar_one()


def enter(session: Session, held: HeldRun, stage: str, text: str | None = None) -> None:
    """Note the stage that the run has come to, in a word for people, and what there is to say of it."""
    renew(session, held)
    _set(session, held, stage=stage)
    if text:
        job_events.append(session, held.job_id, "stage", text)


def learns_from(session: Session, held: HeldRun, data: dict[str, Any], text: str) -> None:
    """Note what the run learns from, in counts for pages and in a sentence for the log."""
    renew(session, held)
    _set(session, held, data=data)
    job_events.append_once(session, held.job_id, "data", text)


def keep_files(session: Session, held: HeldRun, sha256: str) -> str | None:
    """Note the saved files of the training; returns the key of those before, if they are others."""
    renew(session, held)
    before = session.scalar(select(TrainingRun.files_sha256).where(TrainingRun.job_id == held.job_id))
    _set(session, held, files_sha256=sha256)
    return before if before != sha256 else None


def forget_files_of_cancelled(session: Session) -> list[str]:
    """Give up the saved files of cancelled jobs, with which nobody goes on; returns their keys."""
    cancelled = select(Job.id).where(Job.kind == JobKind.TRAIN, Job.state == JobState.CANCELLED)
    kept = (TrainingRun.job_id.in_(cancelled), TrainingRun.files_sha256.is_not(None))
    keys = session.scalars(select(TrainingRun.files_sha256).where(*kept)).all()
    if keys:
        session.execute(update(TrainingRun).where(*kept).values(files_sha256=None))
    return [key for key in keys if key]


def publish(database: Database, blobs: BlobStore, held: HeldRun, folder: Path) -> int:
    """Register what was trained as a candidate, named after its dataset and version; returns its id.

    The bytes are stored first; one transaction, which proves the token first, makes the row. Done twice,
    it gives the same checkpoint. Raises StaleToken, StorageFull, and InvalidInput for a folder that holds no
    checkpoint; then nothing of it stays.
    """
    described = checkpoints.read_description(folder)
    stored: dict[str, Path | bytes] = {}

    def put(source: Path | bytes) -> str:
        key = blobs.put(source)
        stored[key] = source
        return key

    try:
        weights_sha256 = put(folder / checkpoints.WEIGHTS)
        for attempt in range(NAMES):
            with database.reading() as session:
                name = _free_name(session, held)
            description = {**described, "name": name}
            text = json.dumps(description, ensure_ascii=False, indent=1) + "\n"
            candidate = {
                "name": name,
                "weights_sha256": weights_sha256,
                "description_sha256": put(text.encode()),
                "description": description,
            }
            try:
                return database.insist(
                    partial(_register, blobs=blobs, held=held, candidate=candidate, stored=stored)
                )
            except IntegrityError:
                if attempt == NAMES - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")
    finally:
        # All that no row names: what was refused, and descriptions by names that others took.
        remove_blobs(database, blobs, [*stored])


def finish(session: Session, held: HeldRun, text: str) -> None:
    """End the job, also one that was paused meanwhile. Raises StaleToken when it is no longer ours."""
    _end(session, held, text, error=None)


def fail(session: Session, held: HeldRun, error: str, *, details: str | None = None) -> None:
    """End the job with the reason why it cannot go on; what it has saved stays for another attempt."""
    _end(session, held, error, error=error, details=details)


def release(session: Session, held: HeldRun) -> None:
    """Let another worker go on with the job, charging nobody. Raises StaleToken."""
    let_go(session, held)


def retry(session: Session, job: Job, *, user: User | None) -> None:
    """Let a failed train job go on from what it has saved. Raises Conflict for one that has not failed."""
    failed = (Job.id == job.id, Job.state == JobState.FAILED)
    again = update(Job).where(*failed).values(state=JobState.QUEUED, error=None, finished_at=None)
    if session.scalar(again.returning(Job.id)) is None:
        raise Conflict(f"job {job.id} is {job.state}; only a failed train job can be tried again")
    waiting = {"state": ChunkState.WAITING, "worker_id": None, "lease_expires": None, "finished_at": None}
    session.execute(update(Chunk).where(Chunk.job_id == job.id).values(waiting))
    run = run_of(session, job)
    run.stage = "waiting"
    run.progress = {name: value for name, value in run.progress.items() if name != TAKEN_OVER}
    session.flush()
    job_events.append(session, job.id, "retried", "goes on from what it has saved", user=user)
    session.refresh(job)


def _line_is_free(session: Session, job_id: int) -> bool:
    """Whether no other run of the same line is at work. Whoever asks meanwhile waits for the answer."""
    of_job = select(TrainingRun.line).where(TrainingRun.job_id == job_id).scalar_subquery()
    of_line = select(TrainingRun.job_id).where(TrainingRun.line == of_job).order_by(TrainingRun.job_id)
    others = [one for one in session.scalars(of_line.with_for_update()).all() if one != job_id]
    at_work: ColumnElement[bool] = (Chunk.state == ChunkState.CLAIMED) & ~lapsed()
    return not session.scalar(select(exists().where(Chunk.job_id.in_(others), at_work)))


def _keep(session: Session, held: HeldRun, told: Told) -> None:
    run = session.get_one(TrainingRun, held.job_id, populate_existing=True)
    progress = told.progress
    point = [progress.get("updates"), progress.get("loss")]
    if None not in point:
        # After a takeover, updates that the other worker saw are done again.
        run.losses = _thinned([*(pair for pair in run.losses if pair[0] < point[0]), point])
    before = {} if len(told.epochs) > len(run.epochs) else run.progress
    run.progress = {**progress, **{name: before[name] for name in (TAKEN_OVER,) if name in before}}
    if progress.get("stage") in ("features", "training"):
        run.stage = progress["stage"]
    run.epochs = list(told.epochs)
    counts = {"done": len(told.epochs), "total": max(int(progress.get("epochs") or 0), len(told.epochs))}
    session.flush()
    session.execute(update(Job).where(Job.id == held.job_id).values(counts))


def _thinned(losses: list[Any]) -> list[Any]:
    return losses if len(losses) <= MOST_LOSSES else [*losses[:-1:2], losses[-1]]


def _set(session: Session, held: HeldRun, **values: Any) -> None:
    session.execute(update(TrainingRun).where(TrainingRun.job_id == held.job_id).values(**values))


def _free_name(session: Session, held: HeldRun) -> str:
    dataset = session.get_one(Dataset, held.dataset_id)
    words = re.sub(r"\W+", "-", dataset.name.lower()).strip("-_") or "dataset"
    first = f"{words}-{dataset.version}"
    taken = set(
        session.scalars(select(Checkpoint.name).where(Checkpoint.name.startswith(first, autoescape=True)))
    )
    # The first number is the version, which the next one must not be taken for.
    names = (first if number == 1 else f"{first}-take-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _register(
    session: Session,
    blobs: BlobStore,
    held: HeldRun,
    candidate: dict[str, Any],
    stored: Mapping[str, Path | bytes],
) -> int:
    checkpoints.hold(session, blobs, stored)
    prove(session, held, lease_expires=lease())
    run = session.get_one(TrainingRun, held.job_id, populate_existing=True)
    if run.checkpoint_id is None:
        checkpoint = Checkpoint(**candidate)
        session.add(checkpoint)
        session.flush()
        run.checkpoint_id = checkpoint.id
        run.data = {**run.data, **_new_words(session, held, candidate["description"])}
        text = f"trained the checkpoint {checkpoint.name}, which is a candidate"
        job_events.append(session, held.job_id, "trained", text)
        session.flush()
    return run.checkpoint_id


def _new_words(session: Session, held: HeldRun, description: dict[str, Any]) -> dict[str, int]:
    """How many words the base did not know."""
    if held.base_id is None:
        return {}
    known = session.get_one(Checkpoint, held.base_id).description.get("vocabulary", [])
    return {"new_words": len(set(description.get("vocabulary", [])) - set(known))}


def _end(
    session: Session, held: HeldRun, text: str, *, error: str | None, details: str | None = None
) -> None:
    ended = {"state": ChunkState.FINISHED, "lease_expires": None, "finished_at": database_clock()}
    prove(session, held, **ended)
    outcome = JobState.FAILED if error else JobState.DONE
    _set(session, held, stage=outcome.value)
    values = {"state": outcome, "error": error, "paused_because": None, "finished_at": utc_now()}
    over = update(Job).where(Job.id == held.job_id, Job.state.in_(UNFINISHED)).values(values)
    if session.scalar(over.returning(Job.id)):
        severity = Severity.ERROR if error else Severity.INFO
        job_events.append(session, held.job_id, outcome.value, text, severity=severity, details=details)
