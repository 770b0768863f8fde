"""`recaption serve` as a process: what it starts, restarts and takes along when it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog import workers
from catalog.database import Database
from catalog.settings import Settings, child_environment
from dashboard.addresses import is_taken
from dashboard.installation import answers

RECAPTION = Path(sys.executable).with_name("recaption")


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


def child_of(process: subprocess.Popen[bytes], command: str) -> int | None:
    """The process id of a child, by the command that it runs."""
    asked = ["pgrep", "-P", str(process.pid), "-f", f"recaption --with-parent {command}"]
    found = subprocess.run(asked, capture_output=True, text=True).stdout.split()
    return int(found[0]) if found else None


@pytest.fixture
def served(settings: Settings, free_port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [str(RECAPTION), "serve", "--port", str(free_port)]
    variables = child_environment(RECAPTION_HOME=str(settings.home))
    with (settings.home / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
    wait_for(lambda: answers("127.0.0.1", free_port))
    yield process
    process.kill()
    process.wait()


def test_what_dies_comes_back_and_all_ends_together(
    served: subprocess.Popen[bytes], database: Database, free_port: int
) -> None:
    def alive() -> bool:
        with database.reading() as session:
            return bool(workers.alive(session))

    wait_for(alive)
    for command in ("web", "worker"):
        first = child_of(served, command)
        assert first
        os.killpg(first, signal.SIGKILL)
        wait_for(lambda command=command, first=first: child_of(served, command) not in (None, first))
    wait_for(lambda: answers("127.0.0.1", free_port))
    wait_for(alive)

    served.send_signal(signal.SIGTERM)
    assert served.wait(timeout=15) == 0
    assert not is_taken("127.0.0.1", free_port)
    assert child_of(served, "worker") is None


def test_no_child_outlives_a_supervisor_that_was_killed(
    served: subprocess.Popen[bytes], free_port: int
) -> None:
    wait_for(lambda: child_of(served, "worker"))
    worker = child_of(served, "worker")
    assert worker
    served.kill()
    wait_for(lambda: not is_taken("127.0.0.1", free_port))
    wait_for(lambda: not _exists(worker))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
