"""Image networks of torchvision that return a grid of features."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from model.errors import CheckpointError, RecipeError


class GridEncoder(nn.Module):
    """A convolutional network without its head: photos (B, 3, S, S) -> grid features (B, N, D)."""

    def __init__(self, *, network: nn.Module, feature_size: int, prefix: str) -> None:
        super().__init__()
        self.network = network
        self.feature_size = feature_size
        self.prefix = prefix

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images).flatten(2).transpose(1, 2)

    def train(self, mode: bool = True) -> Self:
        """BatchNorm keeps its stored statistics in training too: folded weights have no others."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def _mobilenet_v2() -> GridEncoder:
    network = torchvision.models.mobilenet_v2(weights=None)
    return GridEncoder(network=network.features, feature_size=network.last_channel, prefix="features.")


ENCODERS: dict[str, Callable[[], GridEncoder]] = {"mobilenet_v2": _mobilenet_v2}


def build_encoder(name: str) -> GridEncoder:
    """An encoder with random weights; raises RecipeError for a name that is not in `ENCODERS`."""
    if name not in ENCODERS:
        raise RecipeError(f'encoder.name is "{name}"; choose one of {", ".join(ENCODERS)}')
    return ENCODERS[name]()


def load_base_weights(encoder: GridEncoder, *, name: str, weights: str) -> None:
    """Fill an encoder with "imagenet" weights (torchvision downloads them), those of a file, or "none".

    A file is .safetensors in torchvision's layout; pickles are refused. Raises CheckpointError.
    """
    if weights == "none":
        return
    if weights == "imagenet":
        state = torchvision.models.get_model_weights(name).DEFAULT.get_state_dict(
            progress=True, check_hash=True
        )
    else:
        state = _read_safetensors(Path(weights))
    grid = {
        key.removeprefix(encoder.prefix): value
        for key, value in state.items()
        if key.startswith(encoder.prefix)
    }
    try:
        encoder.network.load_state_dict(grid)
    except RuntimeError as error:
        raise CheckpointError(f'"{weights}" does not hold torchvision weights of {name}: {error}') from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(
            f'encoder.weights names "{path}", which is no file; pass one, "imagenet" or "none"'
        )
    if path.suffix != ".safetensors":
        raise CheckpointError(f'"{path}" is not a .safetensors file; other kinds can run code when loaded')
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f'"{path}" is damaged: {error}') from error


def freeze(encoder: GridEncoder) -> None:
    """Evaluation mode, no gradients, and the memory order that convolutions like best."""
    encoder.eval().requires_grad_(False).to(memory_format=torch.channels_last)
