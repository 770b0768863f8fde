"""What frozen encoder blocks say, computed once and kept on disk: it is the same every epoch."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor, nn
from tqdm import tqdm

from model.data import Example
from model.description import Preprocessing
from model.devices import encoding_precision
from model.encoder import for_inference
from model.errors import DataError
from model.images import decode_ahead
from model.transforms import normalise
from pictures.errors import PictureError

BATCH_SIZE = 64


def weights_hash(module: nn.Module) -> str:
    """SHA-256 of all learned values and statistics, by name."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def cached_features(
    network: nn.Sequential,
    examples: Sequence[Example],
    hashes: Sequence[str],
    *,
    preprocessing: Preprocessing,
    folder: Path,
    device: torch.device,
    flipped: bool = False,
    progress: bool = False,
) -> np.ndarray:
    """Feature maps (n, h, w, C) float16 of the photos, memory-mapped; of their mirror images when `flipped`.

    The file is named by a hash of network, preprocessing, photos and mirroring, so it is never stale.
    """
    key = json.dumps([weights_hash(network), asdict(preprocessing), list(hashes), flipped])
    path = folder / f"features-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    if not path.is_file():
        encoder = for_inference(network).to(device)
        _encode(encoder, examples, preprocessing, path, device=device, flipped=flipped, progress=progress)
    return np.load(path, mmap_mode="r")


@torch.inference_mode()
def _encode(
    network: nn.Sequential,
    examples: Sequence[Example],
    preprocessing: Preprocessing,
    path: Path,
    *,
    device: torch.device,
    flipped: bool,
    progress: bool,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Moved into place when complete: an interrupted run leaves no half-filled cache behind.
    partial = path.with_suffix(".partial")
    rows: np.memmap | None = None
    done = 0
    with tqdm(total=len(examples), desc="features", unit="photo", disable=not progress) as bar:
        photos = decode_ahead((example.path for example in examples), preprocessing)
        while framed := list(islice(photos, BATCH_SIZE)):
            batch = normalise(torch.stack(_readable(framed)).to(device), preprocessing)
            with encoding_precision(device):
                maps = network(batch.flip(3) if flipped else batch).permute(0, 2, 3, 1)
            if rows is None:
                shape = (len(examples), *maps.shape[1:])
                rows = open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
            rows[done : done + len(maps)] = maps.to(torch.float16).cpu().numpy()
            done += len(maps)
            bar.update(len(maps))
    assert rows is not None
    rows.flush()
    partial.replace(path)


def _readable(photos: Sequence[Tensor | PictureError]) -> list[Tensor]:
    for photo in photos:
        if isinstance(photo, PictureError):
            raise DataError(f"a photo of the data cannot be read: {photo}") from photo
    return [photo for photo in photos if isinstance(photo, Tensor)]
