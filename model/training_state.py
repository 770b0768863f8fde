"""The state of a training run between two updates, on disk."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from model.config import recipe_to_dict
from model.description import Description
from model.errors import TrainingError


@dataclass
class Progress:
    """How far a run is: whole epochs, updates of the next one and the sum of their losses, updates in all.

    `rates` are the learning rates of the last update; `best` and `best_epoch` are of the validation score,
    `kept` the (score, epoch) of the epochs to average. From epoch `critical_from` on, training is
    self-critical. `ended` is set when patience has run out.
    """

    critical_from: int
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    updates: int = 0
    rates: tuple[float, ...] = (0.0, 0.0)
    best: float = -1.0
    best_epoch: int = 0
    kept: list[tuple[float, int]] = field(default_factory=list)
    ended: bool = False


@dataclass(frozen=True)
class TrainingState:
    """What is saved of a run and restored to it: `part` is what is trained, with its moving average.

    The description is that of the captioner before any training: recipe, words, and what it is made from.
    """

    part: nn.Module
    average: nn.Module
    optimizer: Optimizer
    description: Description


def save_state(path: Path, state: TrainingState, progress: Progress) -> None:
    """Write the state beside its old one and swap them; raises TrainingError when the disk is full."""
    tensors = {f"part.{name}": value for name, value in state.part.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in state.average.state_dict().items()}
    for number, values in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in values.items()}
    about = {"progress": asdict(progress), "origin": _origin(state.description)}
    write_tensors(path, tensors, what="the training state", metadata={"training": json.dumps(about)})


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], *, what: str, metadata: dict[str, str] | None = None
) -> None:
    """Write a .safetensors file beside its old one and swap them; raises TrainingError that names `what`."""
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in tensors.items()}, partial, metadata)
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            partial.unlink()
        raise TrainingError(f'cannot write {what} "{path}": {error}') from error


def load_state(path: Path, state: TrainingState) -> Progress:
    """Fill the parts of `state` from a file; returns how far the run was. Raises TrainingError."""
    if not path.is_file():
        raise TrainingError(f'there is no training state "{path}" to resume from; train without --resume')
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["training"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        origin, progress = dict(about["origin"]), _progress(about["progress"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f'the training state "{path}" is damaged: {error}') from error
    _refuse_other_origin(path, origin, _origin(state.description))

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
    return progress


def _origin(description: Description) -> dict[str, object]:
    """What a run must share with another to go on with its state."""
    words = "\n".join(description.vocabulary.words)
    return {
        "recipe": recipe_to_dict(description.recipe),
        "vocabulary": hashlib.sha256(words.encode()).hexdigest(),
        **description.lineage,
    }


def _refuse_other_origin(path: Path, saved: dict[str, object], wanted: dict[str, object]) -> None:
    for key in sorted(saved.keys() | wanted.keys()):
        if saved.get(key) != wanted.get(key):
            raise TrainingError(
                f'the training state "{path}" belongs to another {key.replace("_", " ")}; '
                "resume with the recipe, data and base it began with"
            )


def _progress(values: dict[str, object]) -> Progress:
    known = {f.name: values[f.name] for f in fields(Progress)}
    progress = Progress(**known)  # type: ignore[arg-type]
    progress.rates = tuple(progress.rates)
    progress.kept = [(float(score), int(epoch)) for score, epoch in progress.kept]
    return progress
