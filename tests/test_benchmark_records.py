"""Measured ratios are held to a record: much worse fails, a little worse and other machines do not."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from benchmarks import commands
from benchmarks.commands import benchmark
from benchmarks.record import Record
from benchmarks.rows import Row

FAST = Row(name="fast / slow", ratio=4.0, medians={"fast": 4.0, "slow": 1.0}, unit="photos a second")
EPOCH = Row(name="epoch / decoder", ratio=1.0, medians={}, unit="photos a second", at_most=1.1)
HELP = Row(name="help, seconds", ratio=0.1, medians={}, unit="seconds", at_most=0.3)
MACHINE = {"device": "a processor", "threads": 2, "fast_bfloat16": True}
OPTIONS = {"name": "training", "photos": "drawn", "count": 64, "many": 20_000, "repeats": 1}


def row(like: Row, ratio: float) -> Row:
    return Row.from_dict({**like.to_dict(), "ratio": ratio})


def record(*rows: Row) -> Record:
    return Record(path=Path("record.json"), machine=MACHINE, options=OPTIONS, rows=rows)


@pytest.mark.parametrize(
    ("recorded", "ratio", "regressed"),
    [
        (FAST, 4.0 * 0.7, True),
        (FAST, 4.0 * 0.8, False),
        (FAST, 4.0 * 2, False),
        (EPOCH, 1.3, True),
        (EPOCH, 1.2, False),
        (EPOCH, 0.5, False),
    ],
)
def test_a_ratio_worse_by_more_than_a_quarter_is_a_regression(
    recorded: Row, ratio: float, regressed: bool
) -> None:
    (found,) = record(recorded).compare([row(recorded, ratio)])
    assert found.regressed is regressed


def test_a_comparison_names_the_row_and_both_ratios() -> None:
    (found,) = record(FAST).compare([row(FAST, 2.8)])
    assert found.text() == "regressed: fast / slow: recorded 4, measured 2.8 (-30%)"


def test_times_are_not_compared() -> None:
    assert record(HELP).compare([row(HELP, 30.0)]) == []


def test_a_row_that_is_measured_no_more_is_a_regression_and_a_new_one_is_not() -> None:
    gone, new = record(FAST).compare([EPOCH])
    assert gone.regressed
    assert "record anew" in gone.text()
    assert not new.regressed
    assert new.text() == "not recorded: epoch / decoder"


def test_measuring_goes_on_three_times_at_most_and_keeps_the_best_of_each_row() -> None:
    attempts = iter([[row(FAST, 2.0), row(EPOCH, 1.0)], [row(FAST, 2.9), row(EPOCH, 3.0)], [FAST, EPOCH]])
    assert [one.ratio for one in record(FAST, EPOCH).hold(lambda: next(attempts))] == [4.0, 1.0]
    ratios = iter([2.0, 2.5, 2.2, 4.0])
    assert [one.ratio for one in record(FAST).hold(lambda: [row(FAST, next(ratios))])] == [2.5]
    assert next(ratios) == 4.0, "the fourth is never measured"


def test_what_held_at_once_is_measured_once() -> None:
    ratios = iter([3.2])
    assert [one.ratio for one in record(FAST).hold(lambda: [row(FAST, next(ratios))])] == [3.2]


@pytest.mark.parametrize(
    ("change", "comparable"),
    [
        ({}, True),
        ({"torch": "9.0"}, True),
        ({"threads": 16}, False),
        ({"fast_bfloat16": False}, False),
        ({"device": "another"}, False),
    ],
)
def test_ratios_of_other_machines_are_not_compared(change: dict[str, Any], comparable: bool) -> None:
    assert record(FAST).is_of({**MACHINE, **change}) is comparable


def against(
    monkeypatch: pytest.MonkeyPatch, folder: Path, ratio: float, *options: str, **changes: Any
) -> Result:
    """The command on a record of 4, where a row comes out at `ratio`; `changes` are those of the record."""
    machine = commands._machine("auto")
    written = {"machine": machine, "options": OPTIONS, "rows": [FAST.to_dict()], **changes}
    (folder / "record.json").write_text(json.dumps(written))
    monkeypatch.setattr(commands, "_measure", lambda *_: [row(FAST, ratio)])
    arguments = ["training", "--count", "64", "--repeats", "1", "--against", str(folder / "record.json")]
    return CliRunner().invoke(benchmark, [*arguments, *options])


def test_the_command_fails_on_a_regression_and_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = against(monkeypatch, tmp_path, 2.8)
    assert told.exit_code == 1
    assert "regressed: fast / slow: recorded 4, measured 2.8 (-30%)" in told.stderr


def test_the_command_passes_where_ratios_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = against(monkeypatch, tmp_path, 3.2, "--json")
    assert told.exit_code == 0, told.output
    assert "held: fast / slow" in told.stderr
    assert json.loads(told.stdout)["options"] == OPTIONS


def test_the_command_passes_on_another_machine_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = against(monkeypatch, tmp_path, 0.1, machine=MACHINE)
    assert told.exit_code == 0, told.output
    assert "nothing comparable is recorded" in told.stderr
    assert "a processor, 2 threads, fast bfloat16" in told.stderr


def test_other_options_than_those_of_the_record_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = against(monkeypatch, tmp_path, 4.0, "--count", "128")
    assert told.exit_code == 2
    assert "recorded with count 64, not count 128" in told.stderr


@pytest.mark.parametrize("text", ["no JSON", "{}", '{"machine": {}, "options": {}, "rows": [{"size": 1}]}'])
def test_what_is_no_record_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(text)
    told = CliRunner().invoke(benchmark, ["training", "--against", str(tmp_path / "record.json")])
    assert told.exit_code == 2
    assert "holds no record" in told.stderr
