"""Image networks of torchvision that return a grid of features."""

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
Channels = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A network of torchvision as a chain of blocks, and the photos its ImageNet weights were made for.

    `prefix` is what torchvision puts before the names of the blocks; mean and deviation are those of
    channels scaled to 0..1; photos need `smallest` pixels a side.
    """

    blocks: Callable[[], nn.Sequential]
    feature_size: int
    prefix: str = "features."
    mean: Channels = (0.485, 0.456, 0.406)
    std: Channels = (0.229, 0.224, 0.225)
    smallest: int = 32


def _resnet(name: str) -> Callable[[], nn.Sequential]:
    return lambda: _chain(torchvision.models.get_model(name, weights=None), ends_before="avgpool")


def _features(name: str) -> Callable[[], nn.Sequential]:
    return lambda: torchvision.models.get_model(name, weights=None).features


def _inception_v3() -> nn.Sequential:
    network = torchvision.models.inception_v3(weights=None, init_weights=False)
    del network.AuxLogits
    return _chain(network, ends_before="avgpool")


def _chain(network: nn.Module, *, ends_before: str) -> nn.Sequential:
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    for name, block in network.named_children():
        if name == ends_before:
            break
        blocks[name] = block
    return nn.Sequential(blocks)


ENCODERS: dict[str, Backbone] = {
    "resnet18": Backbone(blocks=_resnet("resnet18"), feature_size=512, prefix=""),
    "resnet50": Backbone(blocks=_resnet("resnet50"), feature_size=2048, prefix=""),
    "resnet101": Backbone(blocks=_resnet("resnet101"), feature_size=2048, prefix=""),
    "vgg16": Backbone(blocks=_features("vgg16"), feature_size=512),
    "efficientnet_b0": Backbone(blocks=_features("efficientnet_b0"), feature_size=1280),
    "inception_v3": Backbone(
        blocks=_inception_v3,
        feature_size=2048,
        prefix="",
        # torchvision's network brings ImageNet's usual statistics to these before its first block.
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        smallest=75,
    ),
    "mobilenet_v2": Backbone(blocks=_features("mobilenet_v2"), feature_size=1280),
    "mobilenet_v3_large": Backbone(blocks=_features("mobilenet_v3_large"), feature_size=960),
}


class GridEncoder(nn.Module):
    """A convolutional network without its head: photos (B, 3, S, S) -> grid features (B, N, D).

    It has no BatchNorms: each is folded into its convolution (`fold_batch_norms`).
    Feature maps are pooled to `grid_size` cells a side; 0 leaves them as the network gives them.
    """

    def __init__(self, *, network: nn.Sequential, feature_size: int, grid_size: int = 0) -> None:
        super().__init__()
        self.network = network
        self.pool = nn.AdaptiveAvgPool2d(grid_size) if grid_size else nn.Identity()
        self.feature_size = feature_size
        self._one_cell = grid_size == 1

    def forward(self, images: Tensor) -> Tensor:
        return to_grid(self.pool(self.network(images)))

    def split(self, trained_blocks: int) -> tuple[nn.Sequential, nn.Sequential]:
        """The blocks that stay as they are and the last ones, which are trained; raises RecipeError.

        Where nothing is trained and one cell is all that is asked for, the first part pools as well: what it
        says is kept on disk. Pooling again changes nothing.
        """
        if trained_blocks > len(self.network):
            raise RecipeError(
                f"encoder.trained_blocks is {trained_blocks}; the network has {len(self.network)} blocks"
            )
        cut = len(self.network) - trained_blocks
        if self._one_cell and not trained_blocks:
            return nn.Sequential(*self.network, self.pool), self.network[cut:]
        return self.network[:cut], self.network[cut:]


def to_grid(maps: Tensor) -> Tensor:
    """Feature maps (B, D, h, w) -> grid (B, N, D), row by row."""
    return maps.flatten(2).transpose(1, 2)


def backbone(name: str) -> Backbone:
    """The backbone of this name; raises RecipeError for one that is not in `ENCODERS`."""
    if name not in ENCODERS:
        raise RecipeError(f'encoder.name is "{name}"; choose one of {", ".join(ENCODERS)}')
    return ENCODERS[name]


def build_encoder(name: str, *, grid_size: int = 0) -> GridEncoder:
    """An encoder with random weights; raises RecipeError for an unknown name."""
    known = backbone(name)
    network = fold_batch_norms(known.blocks())
    return GridEncoder(network=network, feature_size=known.feature_size, grid_size=grid_size)


def load_base_weights(encoder: GridEncoder, *, name: str, weights: str) -> None:
    """Fill an encoder with "imagenet" weights (torchvision downloads them), those of a file, or "none".

    A file is .safetensors in torchvision's layout; pickles are refused. Raises CheckpointError.
    """
    if weights == "none":
        return
    state = _download(name) if weights == "imagenet" else _read_safetensors(Path(weights))
    known = backbone(name)
    network = known.blocks()
    # The classifier and Inception's second head are in the file too.
    wanted = network.state_dict().keys()
    grid = {key: state[known.prefix + key] for key in wanted if known.prefix + key in state}
    try:
        network.load_state_dict(grid)
    except RuntimeError as error:
        raise CheckpointError(f'"{weights}" does not hold torchvision weights of {name}: {error}') from error
    encoder.network.load_state_dict(fold_batch_norms(network).state_dict())


def _download(name: str) -> Mapping[str, Tensor]:
    try:
        return torchvision.models.get_model_weights(name).DEFAULT.get_state_dict(
            progress=True, check_hash=True
        )
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"cannot download the ImageNet weights of {name}: {error}; "
            "pass a .safetensors file in torchvision's layout as encoder.weights=FILE"
        ) from error


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
    """A frozen copy, its weights laid out as a processor computes fastest."""
    return copy.deepcopy(network).eval().requires_grad_(False).to(memory_format=torch.channels_last)


def fold_batch_norms(network: Module) -> Module:
    """The network with each BatchNorm folded into the convolution before it: it says the same in less time.

    Small batches have no statistics to speak of, so those of the base weights stay as they are; folded, they
    cost nothing in training either, and their scales and shifts can be learned.
    """
    network.eval()
    for (name, first), (next_name, second) in pairwise(list(network.named_children())):
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            setattr(network, name, fuse_conv_bn_eval(first, second).requires_grad_())
            setattr(network, next_name, nn.Identity())
    for child in network.children():
        fold_batch_norms(child)
    return network
