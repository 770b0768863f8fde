"""The supervisor: dead children come back, living ones end together."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog import supervisor
from catalog.supervisor import Child, Supervisor

SLEEP = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "TURN", 0.02)
    monkeypatch.setattr(supervisor, "BACK_OFF", (0.05, 0.1))


def child(code: str, **options: object) -> Child:
    return Child("the child", [sys.executable, "-c", code], back_off=0.05, **options)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().split()[2] != "Z"


def test_a_killed_child_is_buried_and_comes_back() -> None:
    buried: list[bool] = []
    one = child(SLEEP, after_end=buried.append)
    with Supervisor([one]):
        assert one.process
        first = one.process.pid
        one.process.kill()
        wait_for(lambda: one.process is not None and one.process.pid != first)
        assert buried == [True]
    assert buried == [True, False], "one that was told to end did not die by itself"


def test_a_funeral_that_fails_ends_no_supervision() -> None:
    def fail(died: bool) -> None:
        raise OSError("the database is away")

    one = child(SLEEP, after_end=fail)
    with Supervisor([one]):
        assert one.process
        first = one.process.pid
        one.process.kill()
        wait_for(lambda: one.process is not None and one.process.pid != first)


def test_a_child_that_dies_again_and_again_is_started_ever_more_slowly() -> None:
    one = child("raise SystemExit(3)")
    with Supervisor([one]):
        wait_for(lambda: one.back_off == 0.1)


def test_all_children_end_with_the_block() -> None:
    children = [child(SLEEP), child(SLEEP)]
    with Supervisor(children):
        processes = [one.process for one in children if one.process]
    assert [process.returncode for process in processes] == [-signal.SIGTERM] * 2


def test_who_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "GRACE", 0.2)
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, start_new_session=True
    )
    with process:
        assert process.stdout
        process.stdout.readline()
        supervisor.stop([process])
        assert process.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc who lives")
def test_what_a_dead_child_left_running_dies_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "import subprocess, sys, time, pathlib;"
        f"p = subprocess.Popen([sys.executable, '-c', {SLEEP!r}]);"
        f"pathlib.Path({str(note)!r}).write_text(str(p.pid)); time.sleep(60)"
    )
    one = child(code)
    with Supervisor([one]):
        wait_for(lambda: note.exists() and note.read_text() != "")
        grandchild = int(note.read_text())
        assert alive(grandchild)
        assert one.process
        one.process.kill()
        wait_for(lambda: not alive(grandchild))
