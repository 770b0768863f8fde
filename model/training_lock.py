"""One training a folder: two at once would overwrite each other's state."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import TrainingError

LOCK_FILE = "lock"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a training folder while the block runs; raises TrainingError where another process does.

    The system frees it when the process ends, however it ends.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK_FILE).open("ab")
    except OSError as error:
        raise TrainingError(f'cannot write into "{folder}": {error.strerror}; make room there') from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(
                f'another process trains in "{folder}"; wait for it, or choose another folder with --output'
            ) from None
        yield
