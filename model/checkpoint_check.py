"""Whether a checkpoint from elsewhere is what it says: tried on a picture, under a limit of memory."""

from pathlib import Path

from model.description import WEIGHTS_FILE, Description, read_description
from model.errors import CheckpointError

MEMORY_LIMIT = 16 << 30  # bytes of address space: torch alone maps a quarter of that


def check(folder: Path) -> None:
    """Load the network and caption a grey picture with it.

    Raises CheckpointError where the two files do not fit each other, and where the weights are no numbers.
    """
    description = read_description(folder)
    # PyTorch is imported behind the limit, and behind what can be told without it.
    import numpy as np
    import torch

    from model.checkpoint import load_checkpoint
    from model.predictor import Predictor

    _require_fitting(folder / WEIGHTS_FILE, description)
    try:
        captioner, _ = load_checkpoint(folder)
        for name, value in captioner.state_dict().items():
            if not value.isfinite().all():
                raise CheckpointError(f"{name} holds values that are no numbers; train it again")
        size = description.preprocessing.size
        grey = np.full((size, size, 3), 128, dtype=np.uint8)
        Predictor(captioner, description, device=torch.device("cpu")).predict([grey])
    except (MemoryError, RuntimeError) as error:
        raise CheckpointError(f"the network cannot be run: {error}") from error


def _require_fitting(path: Path, description: Description) -> None:
    """Compare the shapes of both files before there is room made for any weight.

    A small file may describe a network that fills the memory of this machine.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    from model.captioner import build_captioner

    with torch.device("meta"):
        network = build_captioner(description.recipe, description.vocabulary).state_dict()
    wanted = {name: list(value.shape) for name, value in network.items()}
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} holds no weights: {error}") from error
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise CheckpointError(
                f"{path.name} does not fit its recipe: {name} is {found.get(name, 'missing')}, "
                f"and the recipe asks for {wanted.get(name, 'none')}"
            )
