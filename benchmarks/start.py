"""How long people wait for the command line's help and for the dashboard to answer."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.rows import Row
from catalog.settings import own_command

PATIENCE = 60.0  # seconds for a server that does not come up


def measure(*, repeats: int) -> list[Row]:
    """Both in seconds, and as multiples of Python's own start."""
    python = median(_timed(lambda: _run([sys.executable, "-c", "pass"])) for _ in range(repeats))
    with TemporaryDirectory(prefix="recaption-benchmark-") as home:
        _run(own_command("migrate"), home=Path(home))
        taken = {
            "recaption --help": (lambda: _run(own_command("--help")), 0.3),
            "dashboard, until it answers": (lambda: _serve(Path(home)), 2.0),
        }
        return [
            Row(
                name=f"{name}, seconds",
                ratio=round(median(_timed(act) for _ in range(repeats)), 3),
                medians={"python -c pass": round(python, 3)},
                unit="seconds",
                at_most=most,
            )
            for name, (act, most) in taken.items()
        ]


def _timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def _run(command: Sequence[str], *, home: Path | None = None) -> None:
    environment = {**os.environ, **({"RECAPTION_HOME": str(home)} if home else {})}
    subprocess.run(command, check=True, capture_output=True, env=environment)


def _serve(home: Path) -> None:
    """Start the dashboard alone and end it once its health page answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = own_command("web", "--port", str(port))
    environment = {**os.environ, "RECAPTION_HOME": str(home)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}/login")
        finally:
            server.terminate()


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(URLError, ConnectionError), urlopen(address) as answer:
            answer.read()
            return
        time.sleep(0.01)
    raise RuntimeError(f"{address} did not answer within {PATIENCE:.0f} seconds")
