"""How far a training is, in a file that whoever watches it may read at any time."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.errors import TrainingError, TrainingStopped

PROGRESS_FILE = "progress.json"
WRITE_EVERY = 2.0  # seconds


@dataclass(kw_only=True)
class Pace:
    """The seconds that an update takes, and an epoch beyond its updates, as this process has seen them."""

    updates: int = 0
    epochs: int = 0
    in_updates: float = 0.0
    in_epochs: float = 0.0

    def seconds_left(self, *, updates: int, epochs: int) -> float | None:
        """The time for what is left, if every epoch comes; None before the first update."""
        if not self.updates:
            return None
        # Before an epoch has ended, nobody knows what its validation takes.
        beyond = max(0.0, self.in_epochs - self.in_updates) / self.epochs if self.epochs else 0.0
        return updates * self.in_updates / self.updates + epochs * beyond


@dataclass(kw_only=True)
class Watched:
    """Tells of a training in `folder`, and asks whether it shall stop; `first` of several processes tells.

    `progress.json` has the stage, a word, and numbers that belong to it. It is replaced as a whole.
    """

    folder: Path
    stopping: Callable[[], bool] = lambda: False
    first: bool = True
    _written: float = field(default=0.0)
    _stage: str = field(default="")

    def say(self, stage: str, **numbers: Any) -> None:
        """Write how it stands, at once in a new stage and then every two seconds; raises TrainingError."""
        now = time.monotonic()
        if not self.first or (stage == self._stage and now - self._written < WRITE_EVERY):
            return
        self._stage, self._written = stage, now
        partial = self.folder / f".{PROGRESS_FILE}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps({"stage": stage, **numbers}), encoding="utf-8")
            partial.replace(self.folder / PROGRESS_FILE)
        except OSError as error:
            raise TrainingError(
                f'cannot write into "{self.folder}": {error.strerror}; '
                "make room there, and go on with --resume"
            ) from error

    def stop_if_told(self) -> None:
        """Raises TrainingStopped when somebody asked for it; whatever there is to save is saved."""
        if self.stopping():
            raise TrainingStopped("training was told to stop; go on with --resume")
