"""Photos to measure with, drawn where nobody has any."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter


def draw_photos(folder: Path, count: int, *, width: int, height: int, seed: int = 1) -> list[Path]:
    """JPEG files of soft shapes under grain, which take as long to decode as photographs of their size."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        coarse = random.integers(0, 255, (height // 32 + 1, width // 32 + 1, 3), dtype=np.uint8)
        shapes = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        edges = shapes.filter(ImageFilter.FIND_EDGES)
        grain = random.normal(0, 6, (height, width, 3))
        pixels = np.asarray(shapes, dtype=np.int16) + np.asarray(edges) + grain.astype(np.int16)
        paths.append(folder / f"{number:05}.jpg")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=85)
    return paths
