"""What training sees of its photos: batches of feature maps, with their captions as token ids."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from model.transforms import random_windows, see_through
from model.vocabulary import PAD

CaptionIds = Sequence[Sequence[int]]


class FeatureMaps(Protocol):
    """Feature maps of photos by row: an int gives (h, w, C), a slice (n, h, w, C)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: int | slice, /) -> np.ndarray: ...


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Feature maps of all photos, once a variant (plain, mirrored), and the captions of each as token ids.

    A batch is one of "images", each with all of its captions, or of "captions", each with its image. Where
    `crop` is below 1 the maps are photos, and each is seen through a random window.
    """

    variants: Sequence[FeatureMaps]
    tokens: Sequence[CaptionIds]
    batch_of: str = "images"
    crop: float = 1.0

    def batches(
        self, *, batch_size: int, seed: int, skip: int = 0, rank: int = 0, world: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch in the order of its seed: feature maps (B, C, h, w) and tokens (B, K, T).

        Leaves out the first `skip` batches. Of `world` processes, each gets its share of every batch.
        """
        random = np.random.default_rng(seed)
        order = random.permutation(len(self._units))
        choice = random.integers(len(self.variants), size=len(order))
        windows = random_windows(random, len(order), smallest=self.crop) if self.crop < 1 else None
        for start in range(skip * batch_size, len(order), batch_size):
            mine = slice(start + rank, start + batch_size, world)
            maps, tokens = self._batch(order[mine], choice[mine])
            if windows is not None and len(maps):
                maps = see_through(torch.from_numpy(windows[mine]), maps)
            yield maps, tokens

    def steps(self, batch_size: int) -> int:
        """Batches an epoch."""
        return math.ceil(len(self._units) / batch_size)

    @cached_property
    def _units(self) -> list[tuple[int, CaptionIds]]:
        """What is counted: a row of the feature maps with captions of its photo."""
        if self.batch_of == "images":
            return list(enumerate(self.tokens))
        return [(row, [caption]) for row, captions in enumerate(self.tokens) for caption in captions]

    def _batch(self, places: np.ndarray, choice: np.ndarray) -> tuple[Tensor, Tensor]:
        units = [self._units[place] for place in places]
        if not units:
            return torch.empty(0), torch.empty(0)
        maps = np.stack([self.variants[c][row] for c, (row, _) in zip(choice, units, strict=True)])
        return to_maps(maps), pad_captions([captions for _, captions in units])


@dataclass(frozen=True)
class Mirrored:
    """Photos that no block has encoded yet, seen in a mirror."""

    photos: FeatureMaps

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, rows: int | slice, /) -> np.ndarray:
        return self.photos[rows][..., ::-1, :]


def to_maps(rows: np.ndarray) -> Tensor:
    """Rows (n, h, w, C) as they lie on disk -> feature maps (n, C, h, w) float32."""
    return torch.from_numpy(rows.astype(np.float32)).permute(0, 3, 1, 2)


def pad_captions(captions: Sequence[CaptionIds]) -> Tensor:
    """Token ids of B images with up to K captions each -> (B, K, T), filled up with `<pad>`."""
    width = max(len(group) for group in captions)
    length = max(len(ids) for group in captions for ids in group)
    padded = torch.full((len(captions), width, length), PAD)
    for image, group in enumerate(captions):
        for row, ids in enumerate(group):
            padded[image, row, : len(ids)] = torch.tensor(ids)
    return padded
