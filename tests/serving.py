"""A real `recaption serve`, whose web process tests may kill."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from catalog.database import Database
from catalog.settings import child_environment, load_settings
from dashboard.installation import answers


@dataclass(frozen=True)
class Server:
    """A running installation: where it answers, its database, and the process of `recaption serve`."""

    address: str
    database: Database
    pid: int

    def kill_web_process(self) -> None:
        """Kill the web server with all that it started; the supervisor starts another one."""
        for child in Path(f"/proc/{self.pid}/task").glob("*/children"):
            for pid in child.read_text().split():
                if b"\0web\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.killpg(int(pid), signal.SIGKILL)
                    return
        pytest.fail("there is no web process to kill")


@contextmanager
def serving(home: Path, migrated_sqlite: Path, port: int, *options: str) -> Iterator[Server]:
    """`recaption serve` in a home of its own, until the block ends."""
    home.mkdir(exist_ok=True)
    shutil.copy(migrated_sqlite, home / "recaption.sqlite")
    variables = {"RECAPTION_HOME": str(home)}
    command = [str(Path(sys.executable).with_name("recaption")), "serve", "--port", str(port), *options]
    with (home / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, env=child_environment(**variables), stdout=log, stderr=log)
    database = Database(load_settings(variables).database_url)
    try:
        wait_until_healthy(port, process, home / "serve.log")
        yield Server(f"http://127.0.0.1:{port}", database, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        database.close()


def wait_until_healthy(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if answers("127.0.0.1", port):
            return
        time.sleep(0.1)
    pytest.fail(f"recaption serve does not answer: {log.read_text()[-2000:]}")
