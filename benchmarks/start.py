"""How long people wait for the command line's help and for the dashboard to answer."""

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.installation import environment, free_port
from benchmarks.rows import Row
from catalog.settings import own_command

PATIENCE = 60.0  # seconds for a server that does not come up


def measure(*, repeats: int) -> list[Row]:
    """Both in seconds; a first turn does not count, in which Python may still compile modules."""
    with TemporaryDirectory(prefix="recaption-benchmark-") as folder:
        home = Path(folder)
        _run(own_command("migrate"), home)
        python = median(_run([sys.executable, "-c", "pass"], home) for _ in range(repeats))
        taken = {
            "recaption --help": (lambda: _run(own_command("--help"), home), 0.3),
            "dashboard, until it answers": (lambda: _serve(home), 2.0),
        }
        return [
            Row(
                name=f"{name}, seconds",
                ratio=round(median([act() for _ in range(repeats + 1)][1:]), 3),
                medians={"python -c pass": round(python, 3)},
                unit="seconds",
                at_most=most,
            )
            for name, (act, most) in taken.items()
        ]


def _run(command: Sequence[str], home: Path) -> float:
    """Seconds until a command has ended."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment(home))
    return time.perf_counter() - begun


def _serve(home: Path) -> float:
    """Seconds until the dashboard, started alone, answers with its login page; then it is ended."""
    port = free_port()
    begun = time.perf_counter()
    command = own_command("web", "--port", str(port))
    with subprocess.Popen(command, env=environment(home), stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}/login")
            return time.perf_counter() - begun
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
