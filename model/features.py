"""Encoder features computed once and kept on disk, because a frozen encoder says the same every epoch."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor
from tqdm import tqdm

from model.data import Example
from model.description import Preprocessing
from model.devices import fast_precision
from model.encoder import GridEncoder
from model.errors import DataError
from model.images import decode_ahead
from model.transforms import normalise
from pictures.errors import PictureError

BATCH_SIZE = 64


def weights_hash(module: torch.nn.Module) -> str:
    """SHA-256 of all learned values and statistics, by name."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def cached_features(
    encoder: GridEncoder,
    examples: Sequence[Example],
    hashes: Sequence[str],
    *,
    preprocessing: Preprocessing,
    folder: Path,
    flipped: bool = False,
    progress: bool = False,
) -> np.ndarray:
    """Grid features (n, N, D) float16 of the examples, memory-mapped; of the mirrored photos when `flipped`.

    The file is named by a hash of encoder weights, preprocessing, photos and mirroring, so it is never stale.
    """
    key = json.dumps([weights_hash(encoder), asdict(preprocessing), list(hashes), flipped])
    path = folder / f"features-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    if not path.is_file():
        _encode(encoder, examples, preprocessing, path, flipped=flipped, progress=progress)
    return np.load(path, mmap_mode="r")


@torch.inference_mode()
def _encode(
    encoder: GridEncoder,
    examples: Sequence[Example],
    preprocessing: Preprocessing,
    path: Path,
    *,
    flipped: bool,
    progress: bool,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    device = next(encoder.parameters()).device
    # Moved into place when complete: an interrupted run leaves no half-filled cache behind.
    partial = path.with_suffix(".partial")
    rows: np.memmap | None = None
    done = 0
    with tqdm(total=len(examples), desc="features", unit="photo", disable=not progress) as bar:
        photos = decode_ahead((example.path for example in examples), preprocessing)
        while framed := list(islice(photos, BATCH_SIZE)):
            batch = normalise(torch.stack(_readable(framed)).to(device), preprocessing)
            with fast_precision(device):
                grid = encoder(batch.flip(3) if flipped else batch)
            if rows is None:
                shape = (len(examples), *grid.shape[1:])
                rows = open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
            rows[done : done + len(grid)] = grid.to(torch.float16).cpu().numpy()
            done += len(grid)
            bar.update(len(grid))
    assert rows is not None
    rows.flush()
    partial.replace(path)


def _readable(photos: Sequence[Tensor | PictureError]) -> list[Tensor]:
    for photo in photos:
        if isinstance(photo, PictureError):
            raise DataError(f"a photo of the data cannot be read: {photo}") from photo
    return [photo for photo in photos if isinstance(photo, Tensor)]
