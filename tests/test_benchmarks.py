"""The benchmarks run, on a small catalog, and count what they say they count."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner
from defusedxml import ElementTree

from benchmarks import catalog_scale, closed_loop, interleaved
from benchmarks.closed_loop_photos import (
    EVALUATED,
    HELD_BACK,
    nearest,
    parted,
    speaks_of_water,
)
from benchmarks.closed_loop_plot import plot
from benchmarks.commands import benchmark
from benchmarks.rows import Row
from model.metrics import Scorer, tokenized


def test_the_catalog_is_measured_and_nothing_else_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--sqlite-items", "400", "--postgresql-items", "0", "--job-sizes", "1000", "--runs", "1"]
    catalog_scale.main(sizes)
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"machine", "sqlite"}
    assert printed["sqlite"]["items"] == 400
    assert all(set(times) == {"median", "worst"} for times in printed["sqlite"]["answers"].values())
    statements = printed["sqlite"]["worker"]["1000"]["statements_a_chunk"]
    assert max(statements) - min(statements) == 1, "the first chunk also tells that the job began"


def test_a_photo_speaks_of_water_by_whole_words_of_any_caption() -> None:
    assert speaks_of_water(["A man stands .", "Two men in a Canoe."])
    assert not speaks_of_water(["A watermelon on a table .", "Somebody is seated ."])


def test_the_parts_of_the_closed_loop_share_no_photo(tmp_path: Path) -> None:
    captions = {f"{n}.jpg": ["a dog in the lake" if n % 3 == 0 else "a dog in the snow"] for n in range(4000)}
    names = list(captions)
    (tmp_path / "train.txt").write_text("\n".join(names[:3000]))
    (tmp_path / "dev.txt").write_text("\n".join(names[3000:]))
    parts = asdict(parted(tmp_path, captions))
    every = [name for part in parts.values() for name in part]
    assert sorted(every) == sorted(names)
    about = {part: {speaks_of_water(captions[name]) for name in names} for part, names in parts.items()}
    assert about["domain"] == about["golden_domain"] == {True}
    assert about["base"] == about["others"] == about["golden_general"] == {False}
    assert len(parts["others"]) == HELD_BACK
    assert len(parts["golden_domain"]) == EVALUATED + 334


def test_the_nearest_reference_has_the_fewest_word_edits() -> None:
    assert (
        nearest("A man rows.", ["Somebody in a boat .", "A man rows fast .", "Water ."])
        == "A man rows fast ."
    )


def test_a_point_of_the_closed_loop_tells_difference_and_new_words() -> None:
    references = [("a dog swims",), ("a cat sleeps here",), ("two men row a boat",)] * 20
    poor, good = (
        _retrained(["a dog", "a cat", "two men"] * 20, references, {"a", "dog", "cat", "two", "men"}),
        _retrained([group[0] for group in references], references, {"a", "dog", "boat", "row", "swims"}),
    )
    told = closed_loop.point(100, poor, [good, good])
    assert told["domain_cider"] > told["domain"]["base"]
    assert told["p"] < 0.05
    assert told["accepted_unchanged"] == 1.0
    assert told["word_edits"] == 0.0
    assert told["new_words_said"] == ["boat", "row", "swims"]
    drawn = ElementTree.fromstring(
        plot({"curve": [closed_loop.point(0, poor, [poor]), told], "control": told}), forbid_dtd=True
    )
    assert len(drawn.findall(".//{*}polyline")) == 4


def _retrained(texts: list[str], references: list[tuple[str, ...]], words: set[str]) -> closed_loop.Retrained:
    scorer = Scorer(tokenized(references))
    written = closed_loop.Written(texts, references, scorer.statistics([text.split() for text in texts]))
    return closed_loop.Retrained(1, "one", "0" * 64, frozenset(words), written, written, 1.0, {})


def test_contestants_are_measured_in_turns_after_one_that_does_not_count() -> None:
    turns: list[str] = []
    contestants = {"one": lambda: turns.append("one"), "two": lambda: turns.append("two")}
    taken = interleaved.seconds(contestants, repeats=3)
    assert turns == ["one", "two"] * 4
    assert {name: len(seconds) for name, seconds in taken.items()} == {"one": 3, "two": 3}


def test_a_ratio_is_the_median_over_the_turns_and_knows_its_target() -> None:
    taken = {"plain": [2.0, 8.0, 3.0], "fast": [1.0, 2.0, 2.0]}
    row = Row.of("plain / fast", taken, "plain", "fast", photos=6, at_least=2.5)
    assert row.ratio == 2.0
    assert row.medians == {"plain": 2.0, "fast": 3.0}
    assert row.met is False
    assert row.text().startswith("plain / fast: 2 (>= 2.5), missed")
    assert row.to_dict()["met"] is False
    assert Row(name="", ratio=1.0, medians={}, unit="seconds", at_most=1.1).met
    assert Row(name="", ratio=1.0, medians={}, unit="seconds").met is None


def test_the_benchmark_of_training_runs_and_prints_json() -> None:
    told = CliRunner().invoke(benchmark, ["training", "--repeats", "1", "--count", "64", "--json"])
    assert told.exit_code == 0, told.output
    found = json.loads(told.output)
    assert found["machine"]["device"]
    (row,) = found["rows"]
    assert row["ratio"] > 0.5
    assert row["at_most"] == 1.1
