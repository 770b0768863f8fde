"""From decoded pixels to the tensor an encoder takes."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.description import Preprocessing

MID_GREY = 127


def _squash(image: Tensor, size: int) -> Tensor:
    """The whole photo, its sides made equal."""
    return _resize(image, size, size)


def _pad(image: Tensor, size: int) -> Tensor:
    """The whole photo in its proportions, in the middle of mid grey."""
    height, width = _sides(image, size, longest=True)
    framed = torch.full((3, size, size), MID_GREY, dtype=torch.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    framed[:, top : top + height, left : left + width] = _resize(image, height, width)
    return framed


def _crop(image: Tensor, size: int) -> Tensor:
    """The square in the middle of the photo."""
    height, width = _sides(image, size, longest=False)
    top, left = (height - size) // 2, (width - size) // 2
    return _resize(image, height, width)[:, top : top + size, left : left + size]


def _sides(image: Tensor, size: int, *, longest: bool) -> tuple[int, int]:
    """Height and width of the photo once its longest or its shortest side has this size."""
    height, width = image.shape[-2:]
    scale = size / (max(height, width) if longest else min(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _resize(image: Tensor, height: int, width: int) -> Tensor:
    if image.shape[-2:] == (height, width):
        return image
    # Without antialiasing a large photo turns into noise.
    return F.interpolate(image[None], size=(height, width), mode="bilinear", antialias=True)[0]


FRAMINGS: dict[str, Callable[[Tensor, int], Tensor]] = {"squash": _squash, "pad": _pad, "crop": _crop}


def frame(pixels: np.ndarray, preprocessing: Preprocessing) -> Tensor:
    """Resize one photo, (H, W, 3) uint8 RGB -> (3, size, size) uint8, as the framing says."""
    image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)
    return FRAMINGS[preprocessing.framing](image, preprocessing.size)


def normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(B, 3, size, size) uint8 -> float32 in channels-last order, less the mean, over the deviation."""
    size = images.shape[-1]
    # Whole rows of pixels at once: three channels alone are too few for a processor to compute side by side.
    mean, std = (
        torch.tensor(values, device=images.device).repeat(size)
        for values in (preprocessing.mean, preprocessing.std)
    )
    rows = images.permute(0, 2, 3, 1).float().flatten(2)
    return rows.div_(255).sub_(mean).div_(std).unflatten(2, (size, 3)).permute(0, 3, 1, 2)


def stack(framed: Sequence[Tensor]) -> Tensor:
    """Framed photos, (3, size, size) each, as one batch (B, 3, size, size) in channels-last order.

    That is the order in which decoded pixels lie.
    """
    return torch.stack([photo.permute(1, 2, 0) for photo in framed]).permute(0, 3, 1, 2)


def random_windows(random: np.random.Generator, count: int, *, smallest: float) -> np.ndarray:
    """Where to look at `count` photos: rows of centre x, y and half width, height; a photo spans -1 to 1.

    A window shows a share of the area between `smallest` and 1, its sides in a ratio of up to 4 to 3 (Szegedy
    et al., "Going Deeper with Convolutions", 2015, sec. 6).
    """
    area = random.uniform(smallest, 1, count)
    # A window that shows nearly all must be nearly square, or it would not lie in the photo.
    most = np.minimum(math.log(4 / 3), -np.log(area))
    ratio = np.exp(random.uniform(-1, 1, count) * most)
    half = np.sqrt(np.stack([area * ratio, area / ratio], axis=1))
    centre = random.uniform(-1, 1, (count, 2)) * (1 - half)
    return np.concatenate([centre, half], axis=1).astype(np.float32)


def see_through(windows: Tensor, photos: Tensor) -> Tensor:
    """What windows (B, 4) show of photos (B, 3, S, S), stretched to their size."""
    centre, half = windows.chunk(2, dim=1)
    places = torch.cat([torch.diag_embed(half), centre.unsqueeze(-1)], dim=-1)
    grid = F.affine_grid(places, list(photos.shape), align_corners=False)
    seen = F.grid_sample(photos, grid, padding_mode="border", align_corners=False)
    return seen.contiguous(memory_format=torch.channels_last)
