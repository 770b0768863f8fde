"""File systems that run full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A small file system in a new folder; skips the test where it cannot be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "recaption-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a small file system, and only where mounting is allowed")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_up(folder: Path, *, but: int = 0) -> Path:
    """Leave so many bytes free on the disk of a folder; the file that takes the rest is returned."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        left = os.statvfs(folder)
        os.posix_fallocate(file.fileno(), 0, left.f_bavail * left.f_frsize - but)
    return filler
