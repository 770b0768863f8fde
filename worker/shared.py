"""What the parent process of a worker shares with its child, one child after the other.

Nothing here has a lock: a child that is killed while it holds one would stop its parent for ever.
"""

import time

from billiard import get_context

EXPECTED = 8  # processes in a row that a few poisonous pictures of one chunk may end
LONGEST = 60.0  # seconds; well within the hard limit of a drain
LETTERS = 500  # bytes
LOOK = 0.2  # seconds between two looks at a flag


class Flag:
    """A flag that the parent sets and the child reads."""

    def __init__(self) -> None:
        self._raised = get_context("fork").RawValue("b", 0)

    def set(self) -> None:
        self._raised.value = 1

    def is_set(self) -> bool:
        return bool(self._raised.value)

    def wait(self, seconds: float) -> bool:
        """Wait for the flag, but no longer; returns whether it is set."""
        deadline = time.monotonic() + seconds
        while not self.is_set() and time.monotonic() < deadline:
            time.sleep(LOOK)
        return self.is_set()


class Message:
    """A sentence that the child says and the parent passes on, or nothing."""

    def __init__(self) -> None:
        self._letters = get_context("fork").RawArray("c", LETTERS)

    def say(self, text: str | None) -> None:
        self._letters.value = (text or "").encode()[: LETTERS - 1]

    @property
    def text(self) -> str | None:
        return self._letters.value.decode(errors="ignore") or None


class Setbacks:
    """How often in a row the working process ended before it finished anything.

    A GPU that is broken ends one process after the other, whatever the picture. Each would charge an
    innocent one, so the pauses between them grow until somebody has read of it.
    """

    def __init__(self) -> None:
        self._begun = get_context("fork").RawValue("i", 0)

    def begin(self) -> None:
        """A working process takes up its work."""
        self._begun.value += 1

    def end(self) -> None:
        """Something was finished: the process works."""
        self._begun.value = 0

    @property
    def pause(self) -> float:
        """Seconds to wait before the next attempt."""
        beyond = self._begun.value - EXPECTED
        return 0.0 if beyond <= 0 else min(2.0**beyond, LONGEST)

    @property
    def trouble(self) -> str | None:
        """What people should know, if the pauses have begun."""
        if self.pause == 0.0:
            return None
        return f"its captioning process ended {self._begun.value} times in a row before it finished anything"
