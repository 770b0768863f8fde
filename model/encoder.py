"""Image networks of torchvision that return a grid of features."""

import copy
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.errors import CheckpointError, RecipeError

Module = TypeVar("Module", bound=nn.Module)


class GridEncoder(nn.Module):
    """A convolutional network without its head: photos (B, 3, S, S) -> grid features (B, N, D)."""

    def __init__(self, *, network: nn.Sequential, feature_size: int, prefix: str) -> None:
        super().__init__()
        self.network = network
        self.feature_size = feature_size
        self.prefix = prefix

    def forward(self, images: Tensor) -> Tensor:
        return to_grid(self.network(images))

    def split(self, trained_blocks: int) -> tuple[nn.Sequential, nn.Sequential]:
        """The blocks that stay as they are and the last ones, which are trained; raises RecipeError."""
        if trained_blocks > len(self.network):
            raise RecipeError(
                f"encoder.trained_blocks is {trained_blocks}; the network has {len(self.network)} blocks"
            )
        cut = len(self.network) - trained_blocks
        return self.network[:cut], self.network[cut:]


def to_grid(maps: Tensor) -> Tensor:
    """Feature maps (B, D, h, w) -> grid (B, N, D), row by row."""
    return maps.flatten(2).transpose(1, 2)


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


def for_inference(network: Module) -> Module:
    """A frozen copy that says the same in half the time: each BatchNorm is folded into its convolution."""
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    _fold_batch_norms(copied)
    return copied.to(memory_format=torch.channels_last)


def keep_statistics(network: nn.Module) -> None:
    """BatchNorm keeps its stored statistics in training too: folded weights have no others."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _fold_batch_norms(module: nn.Module) -> None:
    for (name, first), (next_name, second) in pairwise(list(module.named_children())):
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(first, second))
            setattr(module, next_name, nn.Identity())
    for child in module.children():
        _fold_batch_norms(child)
