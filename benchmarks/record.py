"""Measured ratios held to those of a committed record: worse by more than a quarter is a regression."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import click

from benchmarks.rows import Row

SLACK = 0.25
ATTEMPTS = 3  # a busy moment is no regression
MACHINE = ("device", "threads", "fast_bfloat16")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A row as it was recorded and as it was measured; either may be missing."""

    name: str
    recorded: Row | None
    measured: Row | None

    @property
    def regressed(self) -> bool:
        """Whether the ratio is worse by more than the slack, or is measured no more."""
        if self.recorded is None:
            return False
        return self.measured is None or _worse(self.measured, self.recorded) > SLACK

    def text(self) -> str:
        """A line for people."""
        if self.recorded is None:
            return f"not recorded: {self.name}"
        if self.measured is None:
            return f"not measured any more: {self.name}; record anew"
        change = self.measured.ratio / self.recorded.ratio - 1
        verdict = "regressed" if self.regressed else "held"
        ratios = f"recorded {self.recorded.ratio:g}, measured {self.measured.ratio:g} ({change:+.0%})"
        return f"{verdict}: {self.name}: {ratios}"


@dataclass(frozen=True, kw_only=True)
class Record:
    """Rows that were measured once, with which options and on what."""

    path: Path
    machine: Mapping[str, Any]
    options: Mapping[str, Any]
    rows: Sequence[Row]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `recaption benchmark --json` printed; raises UsageError."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            rows = [Row.from_dict(row) for row in found["rows"]]
            return cls(path=path, machine=found["machine"], options=found["options"], rows=rows)
        except (ValueError, KeyError, TypeError) as error:
            raise click.UsageError(
                f'"{path}" holds no record ({error!r}); write one with recaption benchmark NAME --json'
            ) from error

    def require(self, options: Mapping[str, Any]) -> None:
        """Refuse other options than those of the record, with which other ratios come out."""
        differing = [name for name in options if options[name] != self.options.get(name)]
        if differing:
            wanted = ", ".join(f"{name} {self.options.get(name)}" for name in differing)
            given = ", ".join(f"{name} {options[name]}" for name in differing)
            raise click.UsageError(f'"{self.path}" was recorded with {wanted}, not {given}; ask for the same')

    def is_of(self, machine: Mapping[str, Any]) -> bool:
        """Whether it was made on such a machine; ratios of others say nothing about this one."""
        return all(machine[key] == self.machine.get(key) for key in MACHINE)

    def compare(self, rows: Sequence[Row]) -> list[Comparison]:
        """The rows beside the recorded ones; times are left out, which hold on no other machine."""
        recorded, measured = ({row.name: row for row in some if row.is_ratio} for some in (self.rows, rows))
        return [
            Comparison(name=name, recorded=recorded.get(name), measured=measured.get(name))
            for name in recorded | measured
        ]

    def hold(self, measure: Callable[[], list[Row]]) -> list[Row]:
        """Measure until no row regressed, up to three times; each row as it was best."""
        rows = measure()
        for _ in range(1, ATTEMPTS):
            if not any(one.regressed for one in self.compare(rows)):
                break
            rows = [min(pair, key=_badness) for pair in zip(rows, measure(), strict=True)]
        return rows


def of_machine(machine: Mapping[str, Any]) -> str:
    """What of a machine decides whether ratios can be compared."""
    precision = "fast bfloat16" if machine.get("fast_bfloat16") else "float32"
    threads = machine.get("threads")
    return f"{machine.get('device')}, {threads} thread{'' if threads == 1 else 's'}, {precision}"


def _worse(measured: Row, recorded: Row) -> float:
    """By which share of the recorded ratio the measured one is worse."""
    change = measured.ratio / recorded.ratio - 1
    return change if recorded.at_most is not None else -change


def _badness(row: Row) -> float:
    return row.ratio if row.at_most is not None else -row.ratio
