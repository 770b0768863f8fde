"""The lines that start a job again, pasted into a shell beside a real server."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from catalog.schema import Job
from catalog.settings import child_environment
from tests.conftest import missing_service
from tests.serving import Server, serving

NAME = shlex.quote("Bob's $boats")
ALIKE = ("kind", "collection_id", "checkpoint_id", "options", "priority", "total")


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., str]:
    """A function that lets a shell run a line in the installation, and returns what it said."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def run(line: str, **variables: str) -> str:
        environment = child_environment(RECAPTION_HOME=str(tmp_path / "home"), **variables) | {"PATH": path}
        done = subprocess.run(
            ["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def started_alike(server: Server, count: int) -> bool:
    with server.database.reading() as session:
        jobs = session.scalars(select(Job).order_by(Job.id)).all()
        return len(jobs) == count and len({str([getattr(job, name) for name in ALIKE]) for job in jobs}) == 1


def test_both_lines_start_the_same_job_again(
    migrated_sqlite: Path,
    tmp_path: Path,
    free_port: int,
    photo: Callable[..., Path],
    shell: Callable[..., str],
) -> None:
    if shutil.which("curl") is None:
        missing_service("there is no curl")
    photo(tmp_path / "photos" / "pier.jpg")
    with serving(tmp_path / "home", migrated_sqlite, free_port, "--no-worker") as server:
        shell(f"recaption import {NAME} {shlex.quote(str(tmp_path / 'photos'))}")
        shell("recaption user add ada --role admin --password 'correct horse battery'")
        secret = shell("recaption token create ada --name script --scope write --days 1").splitlines()[0]
        job = json.loads(shell(f"recaption job caption {NAME} --mode add --priority 3 --json"))
        shown = f"recaption job show {job['id']} --json --address {server.address}"
        lines = json.loads(shell(shown))["commands"]
        assert "captions 1 item" in shell(lines["shell"])
        assert started_alike(server, 2)
        assert json.loads(shell(lines["curl"], RECAPTION_TOKEN=secret))["state"] == "queued"
        assert started_alike(server, 3)
