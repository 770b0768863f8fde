"""The operator: a thread of every web process that carries bulk operations on in small transactions."""

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from catalog.database import Database, database_clock
from catalog.errors import InvalidInput, NotFound, StaleToken
from catalog.operation_steps import items_ahead, step, texts_of
from catalog.schema import Operation, OperationState, utc_now
from catalog.text_changes import TEXT_KINDS, TextChange, text_change

log = logging.getLogger(__name__)

PERIOD = 5.0  # seconds between two looks for what another process left behind
LEASE = 30.0  # seconds
ITEMS = 250  # a step; the longer one takes, the longer reviewers wait
AHEAD = 20_000  # items that are looked up at a time
THINKING = 1.0  # seconds for the texts of one step, which nobody waits for


@dataclass
class Held:
    """An operation that this process has to itself until `lease` on the database's clock."""

    operation_id: int
    lease: float


class Operator:
    """Carries operations on for as long as its process lives; `wake` tells it that there is one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="operator", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                run_all(self._database)
            except Exception as error:
                # A database that is away or full: what runs is carried on at a later look.
                log.warning("an operation could not go on, trying again: %s", error, exc_info=True)
            self._woken.wait(PERIOD)


def run_all(database: Database) -> None:
    """Carry every operation on to its end that no other process has in hand."""
    while held := claim(database):
        Run(database, held).to_end()


def claim(database: Database) -> Held | None:
    """Take the next operation that runs and that nobody has in hand."""
    free = or_(Operation.lease_expires.is_(None), Operation.lease_expires < database_clock())
    waiting = select(Operation.id).where(Operation.state == OperationState.RUNNING, free)
    with database.reading() as session:
        if session.scalar(waiting.limit(1)) is None:
            return None
    with database.writing() as session:
        first = waiting.order_by(Operation.id).limit(1).with_for_update(skip_locked=True)
        operation_id = session.scalar(first)
        if operation_id is None:
            return None
        taken = update(Operation).where(Operation.id == operation_id)
        lease = taken.values(lease_expires=database_clock() + LEASE).returning(Operation.lease_expires)
        return Held(operation_id, session.scalars(lease).one() or 0.0)


class Run:
    """One claim on its way to the end of an operation."""

    def __init__(self, database: Database, held: Held) -> None:
        self._database = database
        self._held = held
        self._ahead: deque[int] = deque()
        self._change: TextChange | None = None

    def to_end(self) -> None:
        """Step on until the operation has ended or is another process's. Raises what databases raise."""
        try:
            while self.step():
                time.sleep(self._database.breath)
        except (StaleToken, NotFound):
            log.info("operation %s is another process's now, or gone", self._held.operation_id)
        except InvalidInput as error:
            self._fail(str(error))

    def step(self) -> bool:
        """Do some items in one transaction; tells whether there may be more.

        Raises StaleToken when the operation is no longer ours, OutOfTime for a pattern that takes too long.
        """
        item_ids = self._next()
        with self._database.writing() as session:
            operation, lease = self._prove(session)
            if item_ids:
                counts = step(session, operation, item_ids, self._change)
                operation.done += counts.done
                operation.skipped += counts.skipped
                operation.cursor = item_ids[-1]
            else:
                _end(operation)
        self._held.lease = lease
        for _ in item_ids:
            self._ahead.popleft()
        return bool(item_ids)

    def _next(self) -> list[int]:
        """The items of the next step. What takes long is thought out here, where nothing is held."""
        with self._database.reading() as session:
            operation = session.get(Operation, self._held.operation_id)
            if operation is None:
                raise NotFound(f"operation {self._held.operation_id} was deleted with its collection")
            if not self._ahead:
                self._ahead.extend(items_ahead(session, operation, AHEAD))
            item_ids = [self._ahead[place] for place in range(min(ITEMS, len(self._ahead)))]
            if operation.kind not in TEXT_KINDS or not item_ids:
                return item_ids
            texts = texts_of(session, operation, item_ids)
            change = self._change = self._change or text_change(operation.kind, operation.options)
        return _thought_out(change, texts, item_ids)

    def _prove(self, session: Session) -> tuple[Operation, float]:
        """Hold the operation, with a new lease. Raises StaleToken when it is no longer ours."""
        mine = update(Operation).where(
            Operation.id == self._held.operation_id,
            Operation.state == OperationState.RUNNING,
            Operation.lease_expires == self._held.lease,
        )
        renewed = mine.values(lease_expires=database_clock() + LEASE).returning(Operation.lease_expires)
        lease = session.scalars(renewed).first()
        if lease is None:
            raise StaleToken(f"operation {self._held.operation_id} is another process's now")
        return session.get_one(Operation, self._held.operation_id), lease

    def _fail(self, error: str) -> None:
        with self._database.writing() as session:
            operation, _ = self._prove(session)
            operation.state, operation.error = OperationState.FAILED, error
            operation.finished_at, operation.lease_expires = utc_now(), None


def _thought_out(change: TextChange, texts: list[tuple[int, str]], item_ids: list[int]) -> list[int]:
    """Those of the items whose texts were changed in the time of a step."""
    until = time.monotonic() + THINKING
    change.forget()
    for item_id, text in texts:
        if time.monotonic() > until and item_id > texts[0][0]:
            return [one for one in item_ids if one < item_id]
        change(text)
    return item_ids


def _end(operation: Operation) -> None:
    """What was to be done and is gone, or was decided otherwise meanwhile, counts as skipped."""
    operation.total = max(operation.total, operation.done + operation.skipped)
    operation.skipped = operation.total - operation.done
    operation.state, operation.finished_at = OperationState.DONE, utc_now()
    operation.lease_expires = None
