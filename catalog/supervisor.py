"""Keep child processes alive, and end them together.

Each child leads a session of its own: Ctrl+C reaches the supervisor alone, which then ends the children
in order, and what a dead child left running is killed with its session.
"""

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

log = logging.getLogger(__name__)

TURN = 0.25  # seconds between two looks
BACK_OFF = (0.5, 30.0)  # seconds before the first restart and at most
STEADY = 60.0  # seconds of life after which a child is trusted again
GRACE = 10.0  # seconds between SIGTERM and SIGKILL


@dataclass
class Child:
    """One command to keep running, by default in this environment.

    `after_end` runs before each restart and at the very end, and is told whether the child died by itself.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    after_end: Callable[[bool], None] = lambda died: None
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    back_off: float = field(default=BACK_OFF[0])

    def start(self) -> None:
        # What children have to say comes on stderr; on stdout they only introduce themselves.
        nowhere = subprocess.DEVNULL
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdin=nowhere, stdout=nowhere, start_new_session=True
        )
        self.started = time.monotonic()

    def tend(self) -> None:
        """Notice the child's death, and start it again when its time has come."""
        if self.process is None:
            if time.monotonic() >= self.due:
                self.start()
        elif (status := self.process.poll()) is not None:
            self._bury(status)

    def _bury(self, status: int) -> None:
        assert self.process
        log.warning("%s ended with status %d; starting it again in %.1f s", self.name, status, self.back_off)
        kill_session(self.process.pid)
        if time.monotonic() - self.started > STEADY:
            self.back_off = BACK_OFF[0]
        self.process, self.due = None, time.monotonic() + self.back_off
        self.back_off = min(2 * self.back_off, BACK_OFF[1])
        self.clear_up(died=True)

    def clear_up(self, *, died: bool) -> None:
        try:
            self.after_end(died)
        except Exception:
            # Whatever is wrong, such as a database that is away, must not end the supervision.
            log.exception("could not clear up after %s", self.name)


class Supervisor:
    """Runs children from a thread for as long as the `with` block lasts."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = children
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        for child in self._children:
            child.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ignored_signals():
            self._stopped.set()
            self._thread.join()
            stop([child.process for child in self._children if child.process])
            for child in self._children:
                child.clear_up(died=False)

    def wait(self) -> None:
        """Wait until a signal raises something in this thread."""
        while True:
            time.sleep(3600)

    def _run(self) -> None:
        while not self._stopped.wait(TURN):
            for child in self._children:
                child.tend()


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask processes to end, wait for GRACE seconds in all, then kill what is left of their sessions."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        kill_session(process.pid)
        process.wait()


def kill_session(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def exit_on_signals() -> None:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl+C does, so that `with` blocks are left in order."""

    def leave(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


@contextlib.contextmanager
def ignored_signals() -> Iterator[None]:
    """Ignore further signals while the children are ended: impatience must not leave any behind."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
