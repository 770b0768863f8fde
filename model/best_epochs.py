"""The weights of the best epochs, kept on disk to be averaged.

Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", 2018, and Wortsman et
al., "Model soups", 2022: the mean of several good points is often better than the best of them.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from model.training_state import write_tensors

Kept = list[tuple[float, int]]


class BestEpochs:
    """At most `count` files of weights in a folder, those of the epochs with the best scores."""

    def __init__(self, folder: Path, *, count: int) -> None:
        self._folder = folder
        self._count = count

    def offer(self, kept: Kept, score: float, epoch: int, weights: Mapping[str, Tensor]) -> Kept:
        """Keep an epoch's weights if they are among the best, given the (score, epoch) kept so far.

        Returns those kept now; raises TrainingError when the disk is full.
        """
        best = sorted([*kept, (score, epoch)], reverse=True)[: self._count]
        if (score, epoch) in best:
            write_tensors(self._path(epoch), weights, what=f"the weights of epoch {epoch} to")
        return best

    def remove_all_but(self, kept: Kept) -> None:
        """Remove the files of other epochs; only once it is safe on disk that these are the ones kept."""
        names = {self._path(epoch) for _, epoch in kept}
        for path in self._folder.glob("epoch-*.safetensors"):
            if path not in names:
                path.unlink()

    def average(self, kept: Kept) -> dict[str, Tensor]:
        """The mean of all kept weights; counters, which are whole numbers, are those of the best."""
        states = [load_file(self._path(epoch)) for _, epoch in kept]
        return {
            name: torch.stack([state[name] for state in states]).mean(dim=0)
            if value.is_floating_point()
            else value
            for name, value in states[0].items()
        }

    def _path(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch:04}.safetensors"
