"""The table of docs/reliability.md, written from what a run of the tests found."""

import os
import platform
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.servers import POSTGRESQL_FOLDERS

INTRODUCTION = """\
# What jobs survive

Each row is a fault that tests inject into a real installation: real processes, servers of their own, and
the product's own code. Only the network is a stub, which reads a number out of the colour of a picture, so
that a caption on the wrong item shows; leases and pauses are short. After each fault the tests hold every
item of the job to the same rule: it is done with exactly one caption, the right one, or it failed with a
reason, or it was cancelled; the job's counters agree with its items; and no item failed that did no harm
itself. How jobs keep these promises is told in [the architecture](architecture.md#how-a-job-runs).

`make faults` runs the tests ({folder}) and writes this page from what they found.
"""
WORDS = {"passed": "kept", "failed": "**broken**", "skipped": "not tested"}


@dataclass
class Row:
    """One fault with the tests that inject it. `seconds` are those of all of them together."""

    number: int
    fault: str
    tests: dict[str, None] = field(default_factory=dict)
    outcomes: set[str] = field(default_factory=set)
    seconds: float = 0.0
    injected: int = 0
    reasons: set[str] = field(default_factory=set)

    @property
    def outcome(self) -> str:
        worst = next((word for word in ("failed", "skipped", "passed") if word in self.outcomes), "skipped")
        return "; ".join([WORDS[worst], *sorted(self.reasons)])


class Table:
    """What a run has found so far, a row a fault."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}

    def row(self, number: int, fault: str) -> Row:
        return self.rows.setdefault(number, Row(number, fault))

    def page(self) -> str:
        lines = [
            INTRODUCTION.format(folder="`tests/faults`"),
            f"Last run: {datetime.now(UTC):%d %B %Y}, on {machine()}.\n",
            "| # | fault | tests | promise | faults injected | seconds |",
            "| ---: | --- | --- | --- | ---: | ---: |",
        ]
        for number in sorted(self.rows):
            row = self.rows[number]
            tests = "<br>".join(name.removeprefix("test_").replace("_", " ") for name in row.tests)
            cells = [row.number, row.fault, tests, row.outcome, row.injected, round(row.seconds)]
            lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
        return "\n".join(lines) + "\n"


def machine() -> str:
    """The machine and the releases of all that takes part."""
    cores = len(os.sched_getaffinity(0))
    versions = {
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "PostgreSQL": _said_by(
            [str(POSTGRESQL_FOLDERS[-1] / "postgres") if POSTGRESQL_FOLDERS else "postgres", "--version"]
        ),
        "Redis": _said_by(["redis-server", "--version"]),
        "RabbitMQ": _said_by(["rabbitmqctl", "version"]),
    }
    return ", ".join([f"{cores} cores", *(f"{name} {version}" for name, version in versions.items())])


def _said_by(command: list[str]) -> str:
    """The first word with a number in what a program says of its version."""
    if shutil.which(command[0]) is None:
        return "(not installed)"
    said = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    words = [word.removeprefix("v=") for word in said.split()]
    return next((word for word in words if word[:1].isdigit()), "(unknown)")


def write(path: Path, table: Table) -> None:
    path.write_text(table.page(), encoding="utf-8")
