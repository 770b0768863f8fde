"""`recaption` with a network that only reads colours: run this file instead of the console script.

Pictures of one colour stand for numbers, and a caption tells the number of its picture. All else is the
product. RECAPTION_STUB_* make its times short, so that a fault and its repair fit into a test:

- CHUNK: seconds of captioning for 64 pictures; LEASE: seconds that a chunk is lent for;
- PERIOD: two numbers of seconds, the pause of the reconciler;
- DRAIN_FOR, HARD_LIMIT: seconds after which a drain makes room for others, and after which it is killed;
- SETBACKS: deaths in a row behind which a worker's children begin to rest;
- CLOCK: a file with the seconds by which SQLite's clock is wrong; PROTOCOL: the protocol that is known.
"""

import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import numpy as np

from model.ahead import ahead

KILLER, HANGER = 4095, 4094  # pictures that kill their process and that hang it for ever
STEP = 16  # levels of a colour between two numbers, wide enough for what JPEG does to them


def stub(name: str, default: str) -> str:
    return os.environ.get(f"RECAPTION_STUB_{name}", default)


def colour_of(number: int) -> tuple[int, int, int]:
    """The RGB colour that stands for a number below 4096."""
    low, middle, high = (number // 16**place % 16 * STEP + STEP // 2 for place in range(3))
    return low, middle, high


def number_of(pixels: np.ndarray) -> int:
    """The number of a picture, (H, W, 3) uint8."""
    levels = pixels.reshape(-1, 3).mean(axis=0) // STEP
    return int(levels @ (1, 16, 256))


def caption_of(number: int) -> str:
    return f"A picture of number {number}."


class Predictor:
    """Stands in for model.predictor.Predictor. The alternative caption is its checkpoint's name."""

    description = SimpleNamespace(preprocessing=SimpleNamespace(size=16))

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", precision: str = "float32") -> Self:
        return cls(json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))["name"])

    def frame(self, pixels: np.ndarray) -> np.ndarray:
        return pixels

    def predict_framed(
        self, pictures: Sequence[np.ndarray], *, attention: bool = False, go_on: Callable[[], None]
    ) -> list[Any]:
        numbers = [number_of(pixels) for pixels in pictures]
        for number in numbers:
            if number == KILLER:
                os.kill(os.getpid(), signal.SIGKILL)
            while number == HANGER:
                time.sleep(3600)
        for _ in numbers:
            go_on()
            time.sleep(float(stub("CHUNK", "0.05")) / 64)
        return [self._prediction(number) for number in numbers]

    def _prediction(self, number: int) -> Any:
        from model.prediction import Alternative, Prediction

        return Prediction(
            text=caption_of(number),
            score=-0.5,
            confidence=0.5,
            tokens=("number", str(number)),
            token_probabilities=(0.5, 0.5),
            alternatives=(Alternative(text=f"Made by {self.name}.", score=-1.0),),
            attention=np.zeros((2, 7, 7), np.uint8),
        )


def own_command(*arguments: str) -> list[str]:
    """Stands in for catalog.settings.own_command: the product's own children are stubbed as well."""
    return [sys.executable, "-P", __file__, "--with-parent", *arguments]


def in_lanes(work: Any, batches: Iterable[Any], *, lanes: int) -> Generator[Any, None, None]:
    """Stands in for model.lanes.in_lanes, without telling torch of it."""
    with ThreadPoolExecutor(lanes) as pool:
        yield from ahead(pool, work, batches, count=lanes + 1)


def stub_the_network() -> None:
    # Not imported and patched, for that would load torch.
    predictor: Any = ModuleType("model.predictor")
    predictor.Predictor = Predictor
    lanes: Any = ModuleType("model.lanes")
    lanes.in_lanes, lanes.lane_count = in_lanes, lambda _: 2
    sys.modules.update({"model.predictor": predictor, "model.lanes": lanes})


def stub_the_times() -> None:
    from catalog import jobs

    if "RECAPTION_STUB_PROTOCOL" in os.environ:
        jobs.PROTOCOL = int(stub("PROTOCOL", ""))  # before others import it
    from catalog import chunks, reconciler, settings

    chunks.LEASE = float(stub("LEASE", str(chunks.LEASE)))
    low, high = stub("PERIOD", "{} {}".format(*reconciler.PERIOD)).split()
    reconciler.PERIOD = (float(low), float(high))
    settings.own_command = own_command


def stub_the_limits() -> None:
    from worker import app, captioning, niceness, shared

    niceness.NICENESS = 0  # Times this short bear no waiting for the tests beside these.
    app.HARD_LIMIT = float(stub("HARD_LIMIT", str(app.HARD_LIMIT)))
    captioning.DRAIN_FOR = float(stub("DRAIN_FOR", str(captioning.DRAIN_FOR)))
    shared.EXPECTED = int(stub("SETBACKS", str(shared.EXPECTED)))
    # The default of an argument was read when the function was made.
    captioning.drain.__kwdefaults__["seconds"] = captioning.DRAIN_FOR


def stub_the_clock(offset: Path) -> None:
    """Let SQLite's julianday('now') be wrong by as many seconds as the file holds."""
    from sqlalchemy import Engine, event

    def julianday(_: str) -> float:
        return (time.time() + float(offset.read_text())) / 86400.0 + 2440587.5

    @event.listens_for(Engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.create_function("julianday", 1, julianday)


def main() -> None:
    stub_the_network()
    stub_the_times()
    if "worker" in sys.argv[1:3]:
        stub_the_limits()
    if clock := stub("CLOCK", ""):
        stub_the_clock(Path(clock))
    import recaption

    recaption.main()


if __name__ == "__main__":
    main()
