"""Batches in lanes: in their order, few ahead, each on cores of its own."""

import threading
from collections.abc import Iterator

import pytest
import torch

from model.lanes import in_lanes, lane_count


@pytest.fixture
def cores() -> Iterator[int]:
    """As many cores as the lanes of a test may believe in."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield 4
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_their_batches() -> None:
    second_done = threading.Event()

    def work(batch: int) -> int:
        if batch == 0:
            assert second_done.wait(30)  # The first is done last.
        if batch == 1:
            second_done.set()
        return batch * batch

    assert list(in_lanes(work, range(20), lanes=2)) == [number**2 for number in range(20)]


def test_lanes_share_the_cores(cores: int) -> None:
    together = threading.Barrier(2, timeout=30)

    def work(batch: int) -> int:
        together.wait()
        return torch.get_num_threads()

    assert list(in_lanes(work, range(4), lanes=2)) == [cores // 2] * 4


def test_few_batches_are_taken_ahead() -> None:
    taken = 0

    def batches() -> Iterator[int]:
        nonlocal taken
        while taken < 100:
            taken += 1
            yield taken

    results = in_lanes(lambda batch: batch, batches(), lanes=3)
    assert [next(results) for _ in range(5)] == [1, 2, 3, 4, 5]
    assert taken <= 5 + 3 + 1
    results.close()


@pytest.mark.parametrize("lanes", [1, 2])
def test_what_goes_wrong_is_raised_and_ends_the_work(lanes: int) -> None:
    done: list[int] = []

    def work(batch: int) -> int:
        if batch == 3:
            raise ValueError("this batch is bad")
        done.append(batch)
        return batch

    with pytest.raises(ValueError, match="this batch is bad"):
        list(in_lanes(work, range(1000), lanes=lanes))
    assert len(done) < 20


def test_a_gpu_has_one_lane_and_a_processor_one_a_core(cores: int) -> None:
    assert lane_count("cpu") == cores
    assert lane_count("cuda") == 1
