import os
from collections.abc import Callable

import pytest
from sqlalchemy.exc import OperationalError

from worker import captioning, tasks


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


def test_an_unforeseen_failure_ends_the_process(drained: Callable[[object], FakeRuntime]) -> None:
    with pytest.raises(Ended):
        drained(RuntimeError("an illegal memory access was encountered"))


def test_a_child_that_was_not_begun_says_how_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "runtime", None)
    with pytest.raises(RuntimeError, match="recaption worker"):
        tasks.drain()
