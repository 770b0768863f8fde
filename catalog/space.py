"""Full disks: what the system says when one is full becomes StorageFull, wherever bytes are written."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog.errors import StorageFull

FULL = (errno.ENOSPC, errno.EDQUOT)


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
