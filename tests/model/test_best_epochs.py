"""The best epochs on disk."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch

from model.best_epochs import BestEpochs
from model.errors import TrainingError


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((2,), value), "updates": torch.tensor(int(value))}


def test_only_the_best_epochs_are_kept_and_their_mean_is_that_of_their_weights(tmp_path: Path) -> None:
    best, kept = BestEpochs(tmp_path, count=2), []
    for epoch, score in enumerate([0.1, 0.5, 0.3, 0.2], start=1):
        kept = best.offer(kept, score, epoch, weights(10.0 * epoch))
        best.remove_all_but(kept)
    assert kept == [(0.5, 2), (0.3, 3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "epoch-0002.safetensors",
        "epoch-0003.safetensors",
    ]
    mean = best.average(kept)
    assert mean["weight"].tolist() == [25.0, 25.0]
    assert mean["updates"] == 20


def test_an_epoch_that_is_offered_again_after_a_kill_changes_nothing(tmp_path: Path) -> None:
    best = BestEpochs(tmp_path, count=2)
    kept = best.offer([], 0.5, 1, weights(1.0))
    assert best.offer([], 0.5, 1, weights(1.0)) == kept
    assert best.average(kept)["weight"].tolist() == [1.0, 1.0]


def test_a_full_disk_is_named_and_what_was_kept_stays(
    tmp_path: Path, no_larger_files: Callable[[int], AbstractContextManager[None]]
) -> None:
    best = BestEpochs(tmp_path, count=2)
    kept = best.offer([], 0.5, 1, weights(1.0))
    with no_larger_files(64), pytest.raises(TrainingError, match="cannot write the weights of epoch 2 to"):
        best.offer(kept, 0.6, 2, weights(2.0))
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0001.safetensors"]
    assert best.average(kept)["weight"].tolist() == [1.0, 1.0]
