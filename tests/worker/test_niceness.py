"""What computes waits for others, and only what is ours."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from worker.niceness import NICENESS, give_way

AUTOGROUPS = Path("/proc/sys/kernel/sched_autogroup_enabled")


@contextmanager
def sleeper(*, own_session: bool) -> Iterator[int]:
    process = subprocess.Popen(["sleep", "60"], start_new_session=own_session)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def session_niceness(process: int) -> int:
    """That of the session of a process, as Linux tells it: `/autogroup-12 nice 0`."""
    return int(Path(f"/proc/{process}/autogroup").read_text().split()[-1])


@pytest.mark.parametrize("own_session", [True, False])
def test_a_process_that_gives_way_is_nice(own_session: bool) -> None:
    with sleeper(own_session=own_session) as process:
        assert os.getpriority(os.PRIO_PROCESS, process) < NICENESS
        give_way(process)
        assert os.getpriority(os.PRIO_PROCESS, process) == NICENESS


def test_who_was_started_nicer_stays_so() -> None:
    with sleeper(own_session=True) as process:
        os.setpriority(os.PRIO_PROCESS, process, NICENESS + 3)
        give_way(process)
        assert os.getpriority(os.PRIO_PROCESS, process) == NICENESS + 3


@pytest.mark.skipif(not AUTOGROUPS.exists(), reason="this system has no autogroups")
def test_a_session_gives_way_as_a_whole_where_it_is_ours() -> None:
    with sleeper(own_session=True) as process:
        give_way(process)
        assert session_niceness(process) == NICENESS


@pytest.mark.skipif(not AUTOGROUPS.exists(), reason="this system has no autogroups")
def test_the_session_that_somebody_else_leads_does_not_wait() -> None:
    # In a session begun here: that of the tests may be one that has no autogroup to tell.
    command = ["sh", "-c", "sleep 60 & echo $!; wait"]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True) as leader:
        assert leader.stdout is not None
        process = int(leader.stdout.readline())
        try:
            before = session_niceness(process)
            give_way(process)
            assert os.getpriority(os.PRIO_PROCESS, process) == NICENESS
            assert session_niceness(process) == before
        finally:
            os.kill(process, signal.SIGKILL)
