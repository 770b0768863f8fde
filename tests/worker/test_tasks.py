import os
import time
from collections.abc import Callable

import pytest
from sqlalchemy.exc import DataError, OperationalError

from worker import captioning, tasks
from worker.shared import EXPECTED, LONGEST, Flag, Message, Setbacks


class Ended(BaseException):
    """Stands for the end of the process."""


class FakeQueue:
    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> bool:
        self.woken += 1
        return True


class FakeRuntime:
    def __init__(self) -> None:
        self.queue = FakeQueue()
        self.stopping = Flag()
        self.setbacks = Setbacks()


@pytest.fixture
def drained(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], FakeRuntime]:
    """A function that runs the task around a drain which answers, or raises, what it is given."""

    def run(answer: object) -> FakeRuntime:
        def drain(runtime: object) -> object:
            if isinstance(answer, Exception):
                raise answer
            return answer

        def end(status: int) -> None:
            raise Ended

        runtime = FakeRuntime()
        monkeypatch.setattr(tasks, "runtime", runtime)
        monkeypatch.setattr(captioning, "drain", drain)
        monkeypatch.setattr(os, "_exit", end)
        tasks.drain()
        return runtime

    return run


def test_more_work_asks_for_another_turn(drained: Callable[[object], FakeRuntime]) -> None:
    assert drained(True).queue.woken == 1
    assert drained(False).queue.woken == 0


def test_a_database_that_is_away_does_not_end_the_process(
    drained: Callable[[object], FakeRuntime],
) -> None:
    assert drained(OperationalError("SELECT", {}, Exception("gone"))).queue.woken == 0


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("an illegal memory access was encountered"),
        DataError("INSERT", {}, Exception("no wait can mend this")),
    ],
)
def test_an_unforeseen_failure_ends_the_process(
    drained: Callable[[object], FakeRuntime], failure: Exception
) -> None:
    with pytest.raises(Ended):
        drained(failure)


def test_a_child_that_was_not_begun_says_how_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "runtime", None)
    with pytest.raises(RuntimeError, match="recaption worker"):
        tasks.drain()


def test_a_worker_whose_processes_end_in_a_row_grows_patient_and_says_so() -> None:
    setbacks = Setbacks()
    for _ in range(EXPECTED):
        setbacks.begin()
    assert setbacks.pause == 0.0
    assert setbacks.trouble is None
    setbacks.begin()
    assert setbacks.pause == 2.0
    assert f"{EXPECTED + 1} times in a row" in str(setbacks.trouble)
    for _ in range(20):
        setbacks.begin()
    assert setbacks.pause == LONGEST
    setbacks.end()
    assert (setbacks.pause, setbacks.trouble) == (0.0, None)


def test_a_worker_that_is_told_to_stop_does_not_wait_for_its_patience(
    drained: Callable[[object], FakeRuntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopping_now(self: FakeRuntime) -> None:
        self.queue, self.stopping, self.setbacks = FakeQueue(), Flag(), Setbacks()
        self.stopping.set()
        for _ in range(EXPECTED + 10):
            self.setbacks.begin()

    monkeypatch.setattr(FakeRuntime, "__init__", stopping_now)
    begun = time.monotonic()
    assert drained(True).queue.woken == 0
    assert time.monotonic() - begun < 1.0


def test_what_the_child_says_reaches_the_parent_whole_or_cut_at_a_letter() -> None:
    message = Message()
    assert message.text is None
    message.say("the storage is away")
    assert message.text == "the storage is away"
    message.say("é" * 1000)
    assert set(str(message.text)) == {"é"}
    message.say(None)
    assert message.text is None
