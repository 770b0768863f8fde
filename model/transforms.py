"""From decoded pixels to the tensor an encoder takes."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.description import Preprocessing


def _squash(image: Tensor, size: int) -> Tensor:
    return _resize(image, size, size)


def _resize(image: Tensor, height: int, width: int) -> Tensor:
    if image.shape[-2:] == (height, width):
        return image
    # Without antialiasing a large photo turns into noise.
    return F.interpolate(image[None], size=(height, width), mode="bilinear", antialias=True)[0]


FRAMINGS: dict[str, Callable[[Tensor, int], Tensor]] = {"squash": _squash}


def frame(pixels: np.ndarray, preprocessing: Preprocessing) -> Tensor:
    """Resize one photo, (H, W, 3) uint8 RGB -> (3, size, size) uint8, as the framing says."""
    image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)
    return FRAMINGS[preprocessing.framing](image, preprocessing.size)


def normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(B, 3, size, size) uint8 -> float32 in channels-last order, less the mean, over the deviation."""
    mean = torch.tensor(preprocessing.mean, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(preprocessing.std, device=images.device).view(1, 3, 1, 1)
    return ((images.float() / 255 - mean) / std).to(memory_format=torch.channels_last)
