"""Full disks: what the system says when one is full becomes StorageFull, wherever bytes are written.

A SQLite database whose disk is full cannot even note that it is. So a file beside it holds some room, and is
given up to write down that jobs are paused.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from catalog.errors import StorageFull

FULL = (errno.ENOSPC, errno.EDQUOT)
RESERVE = 1 << 20  # bytes
RESERVE_NAME = "reserve"
LOW = 64 << 20  # bytes left on a disk, below which people are told


def is_full(error: BaseException) -> bool:
    """Whether the system refused to write for want of room, on the disk or in somebody's quota."""
    return isinstance(error, OSError) and error.errno in FULL


@contextmanager
def room_in(folder: Path) -> Iterator[None]:
    """Writing into a folder while the block runs. Raises StorageFull, naming it, where no room is left."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise StorageFull(
            f"the disk that holds {str(folder)!r} is full; free some space there and do it again"
        ) from error


def free(folder: Path) -> int:
    """The bytes that are left on the disk that holds a folder."""
    return shutil.disk_usage(folder).free


def keep_reserve(folder: Path) -> None:
    """Hold some room on a disk that has more than enough of it."""
    path = folder / RESERVE_NAME
    with suppress(OSError):
        if free(folder) > 4 * RESERVE and not (path.exists() and path.stat().st_size == RESERVE):
            # No zeros: some file systems keep them in no room at all.
            path.write_bytes(os.urandom(RESERVE))


def spend_reserve(folder: Path) -> None:
    """Give up the room that was held; `keep_reserve` holds it again later."""
    with suppress(OSError):
        (folder / RESERVE_NAME).unlink(missing_ok=True)
