"""File systems that run full."""

import os
from pathlib import Path


def fill_up(folder: Path, *, but: int = 0) -> Path:
    """Leave so many bytes free on the disk of a folder; the file that takes the rest is returned."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        left = os.statvfs(folder)
        os.posix_fallocate(file.fileno(), 0, left.f_bavail * left.f_frsize - but)
    return filler
