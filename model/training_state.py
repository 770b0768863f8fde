"""The state of a training run between two epochs, on disk."""

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.optim import Optimizer

from model.config import Recipe, recipe_from_dict, recipe_to_dict
from model.errors import TrainingError


@dataclass(frozen=True)
class TrainingState:
    """Epochs done, the best validation score, and what is saved of and restored to: `part` is trained."""

    epoch: int
    best: float
    part: nn.Module
    average: nn.Module
    optimizer: Optimizer
    recipe: Recipe


def save_state(path: Path, state: TrainingState) -> None:
    """Write the state beside its old one and swap them; raises TrainingError when the disk is full."""
    tensors = {f"part.{name}": value for name, value in state.part.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in state.average.state_dict().items()}
    for number, values in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in values.items()}
    about = {"epoch": state.epoch, "best": state.best, "recipe": recipe_to_dict(state.recipe)}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    try:
        save_file({n: v.contiguous() for n, v in tensors.items()}, partial, {"training": json.dumps(about)})
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise TrainingError(f'cannot write the training state "{path}": {error}') from error


def load_state(path: Path, state: TrainingState) -> tuple[int, float]:
    """Fill the parts of `state` from a file; returns epochs done and the best score so far."""
    if not path.is_file():
        raise TrainingError(f'there is no training state "{path}" to resume from; train without --resume')
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["training"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f'the training state "{path}" is damaged: {error}') from error
    if recipe_from_dict(about["recipe"], source=str(path)) != state.recipe:
        raise TrainingError(
            f'the training state "{path}" belongs to another recipe; resume with the recipe it began with'
        )

    def tensors_of(prefix: str) -> dict[str, object]:
        return {
            name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)
        }

    state.part.load_state_dict(tensors_of("part."))
    state.average.load_state_dict(tensors_of("average."))
    moments: dict[int, dict[str, object]] = {}
    for name, value in tensors_of("optimizer.").items():
        number, _, key = name.partition(".")
        moments.setdefault(int(number), {})[key] = value
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    return int(about["epoch"]), float(about["best"])
