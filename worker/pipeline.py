"""What a process does with the chunks that it claimed: captions in lanes, one transaction for each record."""

import logging
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from catalog import chunks, job_events, recording
from catalog.chunks import Claim
from catalog.database import AWAY
from catalog.errors import MissingBlob, StaleToken, StorageFull, StorageUnavailable
from catalog.recording import Outcome
from catalog.schema import Severity
from model.errors import ModelError
from worker.batches import Photo, caption, read_ahead, read_now
from worker.runtime import Runtime

if TYPE_CHECKING:
    from model.predictor import Predictor

log = logging.getLogger(__name__)

RENEWALS = 6  # times that a lease is renewed while it lasts


class Stopped(Exception):
    """The process has to end: what it has not recorded is given back."""


# What chunk and job have an answer for.
FORESEEN = (Stopped, StaleToken, StorageUnavailable, StorageFull, *AWAY)


@dataclass(eq=False)
class Chunk:
    """A chunk between its claim and its record, with what came of its batches so far.

    It is lost when another process took it over.
    """

    held: Claim
    predictor: "Predictor"
    batches_left: int
    outcomes: list[Outcome] = field(default_factory=list)
    lost: bool = False


@dataclass(frozen=True, eq=False)
class Batch:
    """Photos of one chunk that the network sees at once."""

    chunk: Chunk
    photos: Sequence[Photo]


def together(runtime: Runtime, claimed: Iterable[Claim]) -> None:
    """Caption and record chunk after chunk; what the process has to leave undone is given back."""
    Pipeline(runtime).run(claimed)


class Pipeline:
    """Chunks that follow each other without a gap: photos are read while others are captioned in lanes.

    The thread that runs it claims and records meanwhile, so that no lane waits for the database.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._open: list[Chunk] = []
        self._renewed = time.monotonic()

    def run(self, claimed: Iterable[Claim]) -> None:
        # Torch is imported here, in the child that works.
        from model.lanes import in_lanes, lane_count

        readers = ThreadPoolExecutor(thread_name_prefix="reader")
        lanes = lane_count(self._runtime.device)
        try:
            with closing(in_lanes(self._caption, self._batches(claimed, readers), lanes=lanes)) as captioned:
                for batch, outcomes in captioned:
                    self._go_on()
                    self._take(batch.chunk, outcomes)
        except Stopped:
            self._runtime.give_back()
        finally:
            readers.shutdown(cancel_futures=True)

    def _go_on(self) -> None:
        if self._runtime.stopping.is_set():
            raise Stopped

    def _batches(self, claimed: Iterable[Claim], readers: ThreadPoolExecutor) -> Iterator[Batch]:
        for held in claimed:
            predictor = _predictor(self._runtime, held)
            if predictor is None:
                continue
            batches = list(read_ahead(readers, self._runtime.blobs, held.items, predictor))
            chunk = Chunk(held, predictor, batches_left=len(batches))
            self._open.append(chunk)
            for photos in batches:
                yield Batch(chunk, photos)

    def _caption(self, batch: Batch) -> tuple[Batch, list[Outcome]]:
        if batch.chunk.lost:
            return batch, []
        with _noting(self._runtime, batch.chunk.held):
            return batch, caption(batch.chunk.predictor, batch.photos, self._go_on)

    def _take(self, chunk: Chunk, outcomes: Sequence[Outcome]) -> None:
        chunk.outcomes += outcomes
        chunk.batches_left -= 1
        if not (chunk.batches_left or chunk.lost):
            self._open.remove(chunk)
            with _dropping_stale():
                _record(self._runtime, chunk.held, chunk.outcomes)
        self._renew()

    def _renew(self) -> None:
        """Lengthen the leases of all that is on its way, now and then."""
        if time.monotonic() - self._renewed < chunks.LEASE / RENEWALS:
            return
        self._renewed = time.monotonic()
        for chunk in self._open:
            chunk.lost = not _is_renewed(self._runtime, chunk.held)
        self._open = [chunk for chunk in self._open if not chunk.lost]


def one_by_one(runtime: Runtime, claimed: Iterable[Claim]) -> None:
    """Caption chunks that lost their worker once, so that the next crash shows the guilty item."""
    for held in claimed:
        with _dropping_stale():
            if predictor := _predictor(runtime, held):
                _each(runtime, held, predictor)


def _each(runtime: Runtime, held: Claim, predictor: "Predictor") -> None:
    for item in held.items:
        if runtime.stopping.is_set():
            runtime.give_back()
            return
        runtime.database.insist(partial(chunks.take_in_hand, held=held, item_id=item.item_id))
        with _noting(runtime, held):
            outcomes = caption(predictor, [read_now(runtime.blobs, item, predictor)])
        _record(runtime, held, outcomes)


def _predictor(runtime: Runtime, held: Claim) -> "Predictor | None":
    """The captioner of a chunk's job; None where there is nothing to do for it, which is recorded."""
    with _dropping_stale(), _noting(runtime, held):
        if not held.items:
            _record(runtime, held, [])
            return None
        try:
            return runtime.predictor(held.checkpoint_id)
        except (MissingBlob, ModelError) as error:
            why = f"the checkpoint cannot be used: {error}"
            runtime.database.insist(lambda session: recording.fail_job(session, held, why))
            runtime.setbacks.end()
    return None


def _is_renewed(runtime: Runtime, held: Claim) -> bool:
    with _dropping_stale():
        runtime.database.insist(partial(chunks.renew, held=held))
        return True
    return False


def _record(runtime: Runtime, held: Claim, outcomes: Sequence[Outcome]) -> None:
    with _noting(runtime, held):
        runtime.database.insist(lambda session: recording.record(session, held, outcomes))
    runtime.setbacks.end()
    runtime.trouble.say(None)


@contextmanager
def _dropping_stale() -> Iterator[None]:
    """Let go of a chunk that another process took over."""
    try:
        yield
    except StaleToken as error:
        log.info("%s; its results are dropped", error)


@contextmanager
def _noting(runtime: Runtime, held: Claim) -> Iterator[None]:
    """Write what nobody foresaw into the log of the chunk's job, before it ends this process."""
    try:
        yield
    except FORESEEN:
        raise
    except Exception as error:
        text = f"captioning chunk {held.number} failed on {runtime.name}: {type(error).__name__}: {error}"
        with suppress(SQLAlchemyError, StorageFull), runtime.database.writing() as session:
            job_events.append_once(
                session,
                held.job_id,
                "broke",
                text,
                severity=Severity.ERROR,
                details=traceback.format_exc(),
                worker=runtime.name,
            )
        raise
