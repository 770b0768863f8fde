"""Something to write into that gives out what was written piece by piece, and holds no more than that."""

import io
from typing import Any


class Sink(io.RawIOBase):
    """For writers that want a file, where the bytes go on to somebody who reads."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self.held = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self.held += len(piece)
        return len(piece)

    def taken(self) -> bytes:
        """What was written since the last time, also after the end."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        self.held = 0
        return taken
