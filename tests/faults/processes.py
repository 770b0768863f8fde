"""Processes that tests start, and that end with the test run whatever becomes of it."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# Outlives the test run by a moment: when nobody can tell it anything any more, it ends what is left.
REAPER = """
import os, shutil, signal, sys
sessions, folders = set(), set()
for line in sys.stdin:
    verb, what = line.rstrip("\\n").split(" ", 1)
    if verb == "started":
        sessions.add(int(what))
    elif verb == "ended":
        sessions.discard(int(what))
    else:
        folders.add(what)
for leader in sessions:
    try:
        os.killpg(leader, signal.SIGKILL)
    except OSError:
        pass
for folder in folders:
    shutil.rmtree(folder, ignore_errors=True)
"""


class Processes:
    """Starts processes, each the leader of a session of its own."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []
        self._reaper = subprocess.Popen(
            [sys.executable, "-c", REAPER], stdin=subprocess.PIPE, start_new_session=True, text=True
        )

    def start(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Run a command, as another user where this one may; what it says goes behind the log."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                env=env,
                cwd=cwd,
                user=user,
                group=user,
                extra_groups=[] if user else None,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._tell("started", process.pid)
        self._running.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL to a process and to all of its session."""
        signal_session(process, signal.SIGKILL)
        process.wait(timeout=10)
        self._forget(process)

    def end(
        self, process: subprocess.Popen[bytes], number: int = signal.SIGTERM, seconds: float = 30.0
    ) -> int:
        """End a process in order, and then what it left of its session; returns its status."""
        # One that was stopped would not hear of it.
        signal_session(process, signal.SIGCONT)
        process.send_signal(number)
        return self.wait(process, seconds)

    def wait(self, process: subprocess.Popen[bytes], seconds: float = 30.0) -> int:
        """Wait for a process that was told to end, and end what it left; returns its status."""
        try:
            return process.wait(timeout=seconds)
        finally:
            self.kill(process)

    def folder(self, prefix: str, user: str | None = None) -> Path:
        """An empty folder outside of the tests' own, which belong to this user alone."""
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        if user:
            shutil.chown(folder, user, user)
        self._tell("folder", folder)
        return folder

    def close(self) -> None:
        """Kill what still runs."""
        for process in list(self._running):
            self.kill(process)
        assert self._reaper.stdin
        self._reaper.stdin.close()
        self._reaper.wait(timeout=30)

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        if process in self._running:
            self._running.remove(process)
            self._tell("ended", process.pid)

    def _tell(self, verb: str, what: object) -> None:
        assert self._reaper.stdin
        self._reaper.stdin.write(f"{verb} {what}\n")
        self._reaper.stdin.flush()


def signal_session(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to a process and to all of its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in thread.read_text().split()]
    return found


def arguments(pid: int) -> list[str]:
    """The command line of a process; none where it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return []


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Return once something holds. Raises AssertionError that says what did not, when time is up."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
