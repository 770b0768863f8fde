"""What frozen encoder blocks say of photos, computed once and kept on disk: it is the same every epoch."""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from model.data import Example
from model.description import Preprocessing
from model.devices import encoding_precision
from model.encoder import for_inference
from model.errors import DataError
from model.feature_rows import CachedFeatures, FeatureRows
from model.images import decode_ahead
from model.transforms import normalise, stack
from pictures.errors import PictureError

BATCH_SIZE = 64

AfterBatch = Callable[[int, int], None]


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
    after_batch: AfterBatch = lambda done, total: None,
) -> CachedFeatures:
    """Feature maps (n, h, w, C) float16 of the photos, of their mirror images when `flipped`.

    `hashes` are those of the photos' bytes; what the folder lacks of them is encoded and added. Of several
    processes that want to add, one does and the others wait. `after_batch` gets how many photos are encoded,
    and of how many. Raises DataError for an unreadable photo, a full disk, and a cache that is damaged.
    """
    shape = _row_shape(network, preprocessing)
    head = json.dumps(
        {
            "weights": weights_hash(network),
            "preprocessing": asdict(preprocessing),
            "flipped": flipped,
            "shape": shape,
        }
    )
    name = f"features-{hashlib.sha256(head.encode()).hexdigest()[:16]}"
    rows = FeatureRows(folder / name, head, shape)
    photos = dict(zip(hashes, examples, strict=True))
    found = rows.select(hashes)
    if found is None:
        with rows.adding(list(photos)) as missing:
            lacking = {digest: photos[digest] for digest in missing}
            encoder = for_inference(network).to(device)
            _encode(
                encoder,
                lacking,
                preprocessing,
                rows,
                device=device,
                flipped=flipped,
                progress=progress,
                after_batch=after_batch,
            )
            # While nobody else can remove any.
            found = rows.select(hashes)
    assert found, "all were added"
    return found


def _row_shape(network: nn.Sequential, preprocessing: Preprocessing) -> tuple[int, ...]:
    # Tensors on the device "meta" have shapes but no values: this costs no computation.
    photo = torch.empty(1, 3, preprocessing.size, preprocessing.size, device="meta")
    maps = copy.deepcopy(network).eval().to("meta")(photo)
    return tuple(maps.permute(0, 2, 3, 1).shape[1:])


@torch.inference_mode()
def _encode(
    network: nn.Sequential,
    photos: Mapping[str, Example],
    preprocessing: Preprocessing,
    rows: FeatureRows,
    *,
    device: torch.device,
    flipped: bool,
    progress: bool,
    after_batch: AfterBatch,
) -> None:
    hashes = list(photos)
    framed = decode_ahead((photo.path for photo in photos.values()), preprocessing)
    with tqdm(total=len(hashes), desc="features", unit="photo", disable=not progress) as bar:
        for start in range(0, len(hashes), BATCH_SIZE):
            pixels = stack(_readable(list(islice(framed, BATCH_SIZE))))
            batch = normalise(pixels.to(device), preprocessing)
            with encoding_precision(device):
                maps = network(batch.flip(3) if flipped else batch).permute(0, 2, 3, 1)
            chunk = hashes[start : start + BATCH_SIZE]
            rows.append(chunk, maps.to(torch.float16).cpu().numpy(), waiting=len(hashes) - start)
            bar.update(len(chunk))
            after_batch(start + len(chunk), len(hashes))


def _readable(photos: Sequence[Tensor | PictureError]) -> list[Tensor]:
    for photo in photos:
        if isinstance(photo, PictureError):
            raise DataError(f"a photo of the data cannot be read: {photo}") from photo
    return [photo for photo in photos if isinstance(photo, Tensor)]
