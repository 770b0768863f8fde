"""Name bytes by their content, and pictures by what they look like."""

import hashlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pictures.rgb import Pixels

_CHUNK_BYTES = 1 << 20

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
ROWS, COLUMNS = 8, 9
# Of 255: a step between areas that is smaller is not counted, for compression may turn it round.
LEAST_STEP = 0.5
# A picture with fewer steps of at least this height has nothing on it: the rest is paper, light and noise.
CLEAR_STEP, CLEAR_STEPS = 3.0, 8
FLAT = 0
"""The hash of pictures with nothing on them, which tells none of them from another."""


def sha256_of(source: bytes | Path | BinaryIO) -> str:
    """Hex SHA-256 of bytes, a file, or what is left of an open stream; read in pieces of 1 MiB."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    if isinstance(source, Path):
        with source.open("rb") as file:
            return sha256_of(file)
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def dhash(pixels: Pixels) -> int:
    """The difference hash of (H, W, 3) uint8 RGB: 64 bits, as a signed integer; FLAT for a blank page.

    Brightness is averaged over 8 rows of 9 areas; a bit is set where an area is brighter than the one to its
    left. N. Krawetz, "Kind of Like That", hackerfactor.com, 2013.
    """
    brightness = pixels @ LUMA
    areas = _averaged(_averaged(brightness, ROWS).T, COLUMNS).T
    steps = np.diff(areas, axis=1)
    if np.count_nonzero(np.abs(steps) >= CLEAR_STEP) < CLEAR_STEPS:
        return FLAT
    return int.from_bytes(np.packbits(steps > LEAST_STEP).tobytes(), signed=True)


def _averaged(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """(N, M) to (count, M): the means of equal shares of the rows, parts of rows included."""
    rows = len(values)
    sums = np.vstack([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    edges = np.linspace(0, rows, count + 1)
    whole = np.minimum(edges.astype(np.intp), rows - 1)
    up_to = sums[whole] + (edges - whole)[:, np.newaxis] * values[whole]
    return np.diff(up_to, axis=0) * (count / rows)
