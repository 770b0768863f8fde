"""The benchmarks run, on a small catalog, and count what they say they count."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from defusedxml import ElementTree

from benchmarks import catalog_scale, closed_loop, commands, equality, hugging_face, interleaved, job, review
from benchmarks.closed_loop_photos import (
    EVALUATED,
    HELD_BACK,
    nearest,
    parted,
    speaks_of_water,
)
from benchmarks.closed_loop_plot import plot
from benchmarks.commands import benchmark
from benchmarks.photos import draw_photos
from benchmarks.plain_path import PlainPath, unfolded
from benchmarks.record import Record
from benchmarks.rows import Row
from catalog.schema import Job, JobState
from model.checkpoint import load_checkpoint
from model.description import starter_folder
from model.encoder import fold_batch_norms
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


def test_the_benchmark_of_captioning_runs_and_measures_what_is_recorded() -> None:
    told = CliRunner().invoke(benchmark, ["captioning", "--repeats", "1", "--count", "64", "--json"])
    assert told.exit_code == 0, told.output
    rows = [Row.from_dict(row) for row in json.loads(told.output)["rows"]]
    committed = Record.read(Path(commands.__file__).parent / "results" / "captioning.json")
    assert [row.name for row in rows] == [row.name for row in committed.rows]
    assert all(row.ratio > 0 and row.is_ratio for row in rows)
    assert all(row.met is not None for row in rows if "our encoder" not in row.name)


def test_the_fast_path_writes_what_the_plain_path_writes(tmp_path: Path) -> None:
    draw_photos(tmp_path, 30, width=320, height=240)
    (tmp_path / "list.txt").write_text("".join(f"{number:05}.jpg\n" for number in range(24)))
    options = ["--photos", str(tmp_path), "--list", str(tmp_path / "list.txt"), "--json"]
    told = CliRunner().invoke(benchmark, ["equality", *options])
    assert told.exit_code == 0, told.output
    (row,) = json.loads(told.output)["rows"]
    assert row["notes"] == []
    assert row["medians"] == {"equal": 24, "of": 24}
    assert row["met"]


def test_a_caption_that_differs_is_told_with_the_scores_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photo,) = draw_photos(tmp_path, 1, width=320, height=240)
    tokens, score = PlainPath.load(starter_folder()).caption(photo)
    monkeypatch.setattr(PlainPath, "caption", lambda *_: (tokens[:-1], 0.0))
    (row,) = equality.measure([photo])
    (note,) = row.notes
    assert row.met is False
    assert note.startswith("00000.jpg: fast ")
    assert f"({score:.6f}), plain" in note


def test_unfolded_batch_norms_compute_and_give_the_checkpoints_weights_when_folded() -> None:
    encoder = load_checkpoint(starter_folder())[0].encoder
    network = unfolded(encoder, "mobilenet_v2")
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert len(norms) == 52
    assert all(norm.running_mean.std() > 0.5 for norm in norms)
    folded = fold_batch_norms(network).state_dict()
    for name, weights in encoder.network.state_dict().items():
        assert torch.allclose(folded[name], weights, atol=1e-5), name


@pytest.mark.parametrize("missing", ["--list alone", "unknown name", "empty"])
def test_a_list_of_photos_that_cannot_be_taken_is_refused(missing: str, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("" if missing == "empty" else "nowhere.jpg\n")
    photos = [] if missing == "--list alone" else ["--photos", str(tmp_path)]
    told = CliRunner().invoke(benchmark, ["equality", *photos, "--list", str(listed)])
    assert told.exit_code == 2
    said = {"--list alone": "--photos", "unknown name": "nowhere.jpg", "empty": "names no photo"}
    assert said[missing] in told.output


@pytest.mark.parametrize(("build", "millions"), [(hugging_face.vit_gpt2, 239), (hugging_face.blip_base, 224)])
def test_the_networks_of_transformers_are_as_large_as_the_published_ones(
    build: Callable[[], hugging_face.Network], millions: int
) -> None:
    pytest.importorskip("transformers", reason="the extra benchmark is not installed")
    with torch.device("meta"):
        model = build().model
    assert round(sum(weights.numel() for weights in model.parameters()) / 1e6) == millions


def test_networks_of_transformers_caption_files_in_turns_with_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers", reason="the extra benchmark is not installed")
    monkeypatch.setattr(hugging_face, "vit_gpt2", lambda: _small_blip("one"))
    monkeypatch.setattr(hugging_face, "blip_base", lambda: _small_blip("two"))
    photos = draw_photos(tmp_path, 18, width=64, height=48)
    rows = hugging_face.measure(photos, device="cpu", repeats=1)
    assert [row.name.split()[0] for row in rows] == ["one", "two"]
    assert all(row.at_least == 10 and row.ratio > 0 for row in rows)
    tokens = _small_blip("one").generate(photos[:3], tokens=5)
    assert tokens.shape == (3, 1 + 5)


def test_without_transformers_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hugging_face, "is_installed", lambda: False)
    told = CliRunner().invoke(benchmark, ["transformers"])
    assert told.exit_code == 1
    assert 'pip install "recaption[benchmark]"' in told.output


def _small_blip(name: str) -> hugging_face.Network:
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessor

    sizes = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = BlipConfig(
        vision_config={**sizes, "image_size": 32}, text_config={**sizes, "encoder_hidden_size": 16}
    )
    processor = BlipImageProcessor(size={"height": 32, "width": 32})
    return hugging_face.Network(name, BlipForConditionalGeneration(config), processor)


def test_a_job_is_measured_beside_the_command(tmp_path: Path) -> None:
    ratio, size = job.measure(draw_photos(tmp_path, 64, width=64, height=48), device="cpu", repeats=1)
    assert 0 < ratio.medians["job"] < 10 * ratio.medians["command"]
    assert ratio.ratio == pytest.approx(ratio.medians["job"] / ratio.medians["command"], rel=0.05)
    assert 0.5 < size.ratio < 20
    assert size.medians["captions"] == 3 * 64


def test_four_reviewers_are_measured_while_a_job_captions(tmp_path: Path) -> None:
    photos = draw_photos(tmp_path, 8, width=64, height=48)
    (row,) = review.measure(photos, many=1200, answers=1, looks=(0.0, 0.0), ahead=12)
    assert row.medians["answers"] == 4
    assert 0 < row.medians["p50"] <= row.medians["p95"] <= row.medians["worst"]
    assert row.medians["p95"] >= row.medians["page, p95"] > 0
    assert row.ratio == row.medians["p95"]


def test_reviewers_who_had_no_job_beside_them_are_not_counted() -> None:
    review.require_running(Job(state=JobState.RUNNING, done=1, total=3))
    with pytest.raises(RuntimeError, match="done, with 3 of 3 photos captioned; take more photos"):
        review.require_running(Job(state=JobState.DONE, done=3, total=3))


def test_the_answer_that_nineteen_of_twenty_do_not_exceed_is_told() -> None:
    taken = [(0.0, 0.0, number / 1000, 0.0) for number in range(1, 41)]
    row = review.row(taken, captioned=7)
    assert (row.medians["p50"], row.ratio, row.medians["worst"]) == (20.0, 38.0, 40.0)
    assert row.medians["page, p95"] == 38.0
    assert row.medians["decision, p95"] == 0.0
    assert row.medians["photos captioned meanwhile"] == 7
    assert row.met
    assert not row.is_ratio
