"""Files that lie on this disk only while they are imported, each in a folder of its own."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from catalog.space import room_in

PREFIX = "import-"
NAME_LENGTH = 60  # characters; file systems allow 255 bytes
LEFT_BEHIND = 2 * 24 * 3600.0  # seconds; what a killed process left is older, no import takes longer


def staged_name(path: str) -> str:
    """What a file of this path may be called while it waits on this disk, in a folder of its own."""
    return PurePosixPath(path).name[-NAME_LENGTH:]


@contextmanager
def staged(path: str, staging: Path, write: Callable[[Path], None]) -> Iterator[Path]:
    """The file that `write` makes, under the name that `path` has; it goes at the end of the block.

    Raises StorageFull, and what `write` raises.
    """
    with room_in(staging):
        folder = tempfile.TemporaryDirectory(dir=staging, prefix=PREFIX)
    with folder:
        file = Path(folder.name, staged_name(path))
        with room_in(staging):
            write(file)
        yield file


def sweep(staging: Path) -> None:
    """Remove what killed processes staged and left behind."""
    for folder in staging.glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):
            if folder.stat().st_mtime < time.time() - LEFT_BEHIND:
                shutil.rmtree(folder, ignore_errors=True)
