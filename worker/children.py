"""Child processes under a train job: commands of ours, watched each second until they end."""

import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from catalog import training_runs
from catalog.database import AWAY
from catalog.schema import JobState
from catalog.settings import child_environment, own_command
from catalog.supervisor import kill_session
from catalog.training_runs import HeldRun, Told
from worker.niceness import give_way
from worker.runtime import Runtime

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Row = TypeVar("Row")

LOOK_EVERY = 1.0  # seconds
RENEW_EVERY = 5.0  # seconds of reading or writing rows
GRACE = 8.0  # seconds to save in; a supervisor that ends this worker gives it ten
# These end with 1 where some photos could not be read: what they say of the others counts.
SOME_MAY_FAIL = ("caption", "evaluate")
LONGEST = 2000  # characters of what a child said last that tell why it failed


class Interrupted(Exception):
    """The job was paused, or the worker has to end: what was under way goes on later, here or elsewhere."""


class ChildFailed(Exception):
    """A command of ours failed; the text is what it said last."""


@dataclass
class Children:
    """Runs commands for a job that this worker holds, renews its lease and passes on how the training stands.

    `output` is the folder of the training, `after_look` is called about once a second while a child runs.
    """

    runtime: Runtime
    held: HeldRun
    folder: Path
    output: Path
    after_look: Callable[[Told | None], None] = lambda told: None
    _parent: int = field(default_factory=os.getppid)
    _told: Told | None = None

    def run(self, arguments: Sequence[str]) -> str:
        """Run `recaption` with these arguments; returns what it printed.

        Photos that could not be captioned are no failure. Raises ChildFailed when it fails, Interrupted once
        it has ended because it had to, and StaleToken, at once, when the job is no longer ours. Whatever
        happens, nothing of it is left running.
        """
        # Into no file: what a child says where the disk is full matters most.
        process = subprocess.Popen(
            own_command(*arguments),
            env=child_environment(**self._threads()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        try:
            self._give_way(process)
            printed, said = self._watch(process)
        finally:
            kill_session(process.pid)
            process.communicate()
        if process.returncode != 0 and not (process.returncode == 1 and arguments[0] in SOME_MAY_FAIL):
            raise ChildFailed(_reason(process.returncode, said))
        return printed

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait for something; raises as `run` does."""
        while not holds():
            self.look()
            time.sleep(LOOK_EVERY)

    def look(self) -> None:
        """Renew the lease, pass on what is new; raises StaleToken, and Interrupted where all has to rest."""
        if self.runtime.stopping.is_set() or os.getppid() != self._parent:
            raise Interrupted("this worker ends")
        told = self._news()
        try:
            with self.runtime.database.writing() as session:
                state = training_runs.renew(session, self.held, told)
        except AWAY as error:
            # The child goes on; should another worker take over meanwhile, the token tells afterwards.
            log.warning("the database did not hear how the training stands: %s", error)
            return
        self._told = told or self._told
        if state is JobState.PAUSED:
            raise Interrupted("the job is paused")
        self.after_look(self._told)

    def meanwhile(self, work: Callable[[], Result]) -> Result:
        """`look` while something is done that takes its time."""
        return meanwhile(self.look, work)

    def _watch(self, process: subprocess.Popen[str]) -> tuple[str, str]:
        """What a child printed and what it said, once it has ended."""
        while True:
            try:
                self.look()
            except Interrupted:
                _end(process)
                raise
            with suppress(subprocess.TimeoutExpired):
                printed_and_said = process.communicate(timeout=LOOK_EVERY)
                self.look()
                return printed_and_said
            if process.poll() is not None:
                # What it started holds the other ends of the pipes.
                kill_session(process.pid)

    def _threads(self) -> dict[str, str]:
        """How many threads a child computes with: on a CPU, one core stays free for pages and captions."""
        if self.runtime.device != "cpu":
            return {}
        return {"OMP_NUM_THREADS": str(self.runtime.settings.threads_beside)}

    def _give_way(self, process: subprocess.Popen[str]) -> None:
        if self.runtime.device == "cpu":
            give_way(process.pid)

    def _news(self) -> Told | None:
        """What the child has written of its training, unless it is what was told last."""
        training = self.output / "training"
        try:
            progress = json.loads((training / "progress.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        told = Told(progress, _rows(training / "log.jsonl"))
        return told if told != self._told else None


def meanwhile(look: Callable[[], None], work: Callable[[], Result]) -> Result:
    """Do something in a thread, and look each second; what looking raises is raised once that has ended.

    So two never write the same files, and the lease lasts however slow the storage is.
    """
    with ThreadPoolExecutor(1) as thread:
        result = thread.submit(work)
        while not wait([result], timeout=LOOK_EVERY).done:
            look()
    return result.result()


def renewing(look: Callable[[], None], rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, with a look every few seconds on the way: storage may be slow."""
    looked = time.monotonic()
    for row in rows:
        if time.monotonic() - looked > RENEW_EVERY:
            look()
            looked = time.monotonic()
        yield row


def _rows(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


def _end(process: subprocess.Popen[str]) -> None:
    """Ask a child to end; `Children.run` kills what has not by then."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=GRACE)


def _reason(status: int, said: str) -> str:
    """Why a child failed: its last words, or the signal that ended it."""
    lines = said.strip().splitlines()
    # A thread may complain at length behind what the command itself says of its end.
    told = [line for line in lines if line.startswith("Error: ")] or lines
    last = told[-1].removeprefix("Error: ")[-LONGEST:] if told else ""
    if status < 0:
        number = signal.Signals(-status).name
        hint = ", as the system does where memory runs out" if number == "SIGKILL" else ""
        return f"its process was ended by {number}{hint}" + (f"; it said last: {last}" if last else "")
    return last or f"its process ended with status {status} and said nothing"
