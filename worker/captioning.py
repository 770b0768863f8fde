"""Captioning: claim chunk after chunk until none waits, and stop in order where something is in the way."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from catalog import chunks, job_control, space, workers
from catalog.chunks import Claim
from catalog.database import AWAY
from catalog.errors import DatabaseFull, StorageFull, StorageUnavailable
from worker import pipeline, redecoding
from worker.runtime import Runtime

log = logging.getLogger(__name__)

DRAIN_FOR = 60.0  # seconds of claiming after which the task makes room for others


def drain(runtime: Runtime, *, seconds: float = DRAIN_FOR) -> bool:
    """Do chunk after chunk until none waits; True when time ran out first and work may be left."""
    runtime.catch_up()
    claims = Claims(runtime, deadline=time.monotonic() + seconds)
    try:
        # A chunk that goes item by item has the process to itself: who ends it is known then.
        for one_by_one, claimed in groupby(claims, key=attrgetter("one_by_one")):
            if one_by_one:
                pipeline.one_by_one(runtime, claimed)
            else:
                pipeline.together(runtime, claimed)
    except DatabaseFull as error:
        runtime.give_back()
        pause_all(runtime, str(error))
        return False
    except (StorageUnavailable, StorageFull) as error:
        runtime.give_back()
        log.warning("%s; the reconciler will try again", error)
        runtime.trouble.say(str(error))
        return False
    except AWAY:
        runtime.give_back()
        raise
    if claims.none_waits:
        runtime.setbacks.end()
    return claims.may_be_left


@dataclass
class Claims:
    """The chunks that this process takes, one when it is asked for one, while its time lasts.

    Somebody looks at the screen until a question is answered, so questions go before the next chunk.
    """

    runtime: Runtime
    deadline: float
    none_waits: bool = field(init=False, default=False)

    def __iter__(self) -> Iterator[Claim]:
        while time.monotonic() < self.deadline and not self.runtime.stopping.is_set():
            if redecoding.answer_next(self.runtime):
                continue
            with self.runtime.database.writing() as session:
                held = chunks.claim(session, worker_id=self.runtime.worker_id)
            if held is None:
                self.none_waits = True
                return
            yield held

    @property
    def may_be_left(self) -> bool:
        """Whether another process, or this one in its next turn, may find something to do."""
        return not (self.none_waits or self.runtime.stopping.is_set())


def pause_all(runtime: Runtime, reason: str) -> None:
    """Note, with the room that was held for it, that no job can go on; the reconciler lets them go on."""
    log.warning("%s; all jobs are paused until there is room", reason)
    if runtime.database.folder:
        space.spend_reserve(runtime.database.folder)
    try:
        with runtime.database.writing() as session:
            workers.release_all(session, runtime.worker_id)
            job_control.pause_all(session, reason)
    except (StorageFull, *AWAY):
        log.warning("there is no room even to write down that the jobs are paused")
