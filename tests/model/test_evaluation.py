"""`recaption train` and `recaption evaluate`, through their commands."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from model.commands import evaluate, train
from model.data import read_data
from model.errors import DataError, RecipeError

SCORES = ["bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider"]


@pytest.fixture
def run(caption_data: Path) -> Callable[..., Result]:
    def command(*arguments: str | Path) -> Result:
        return CliRunner().invoke(
            evaluate, ["--data", str(caption_data), "--split", "dev", *map(str, arguments)]
        )

    return command


def test_the_json_is_the_one_that_scripts_rely_on(run: Callable[..., Result], tiny_checkpoint: Path) -> None:
    result = run("--checkpoint", tiny_checkpoint, "--beam-size", "2", "--json", "--device", "cpu")
    assert result.exit_code == 0, result.output
    printed: dict[str, Any] = json.loads(result.stdout)
    assert list(printed) == ["split", "n", "references", "tokenizer", "beam_size", "scores", "human"]
    assert [printed[key] for key in list(printed)[:5]] == ["dev", 4, 2, "ptb", 2]
    assert list(printed["scores"]) == list(printed["human"]) == SCORES
    assert result.stderr == ""


def test_the_table_names_split_references_tokens_and_beam(
    run: Callable[..., Result], tiny_checkpoint: Path
) -> None:
    head = run("--checkpoint", tiny_checkpoint, "--device", "cpu").stdout.splitlines()[0]
    assert head == "4 photos of dev, 2 references, ptb tokens, beam 3"


def test_predictions_can_be_scored_again_from_their_file(
    run: Callable[..., Result], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    first = run(
        "--checkpoint", tiny_checkpoint, "--predictions", tmp_path / "p.json", "--json", "--device", "cpu"
    )
    again = run("--captions", tmp_path / "p.json", "--json")
    assert json.loads(again.stdout)["scores"] == json.loads(first.stdout)["scores"]
    assert json.loads(again.stdout)["beam_size"] is None


def test_anybodys_captions_are_scored_and_missing_ones_count_as_wrong(
    run: Callable[..., Result], caption_data: Path, tmp_path: Path
) -> None:
    lines = [
        {"image": f"elsewhere/{example.path.name}", "caption": example.captions[0]}
        for example in read_data(caption_data).split("dev")
    ]
    file = tmp_path / "captions.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    assert json.loads(run("--captions", file, "--json").stdout)["scores"]["bleu4"] == pytest.approx(1)
    lines[0]["caption"] = None  # type: ignore[assignment]
    file.write_text("\n".join(map(json.dumps, lines[:3])))
    assert json.loads(run("--captions", file, "--json").stdout)["scores"]["rouge_l"] == pytest.approx(0.5)


def test_captions_of_other_photos_or_no_captions_are_refused(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "captions.jsonl"
    file.write_text('{"image": "other.jpg", "caption": "A dog."}\n')
    assert "captions none of the 4 photos" in str(run("--captions", file).exception)
    file.write_text("A dog.\n")
    assert isinstance(run("--captions", file).exception, DataError)


def test_captions_and_a_checkpoint_together_are_wrong_usage(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    result = run("--captions", tmp_path / "c.jsonl", "--checkpoint", tmp_path)
    assert result.exit_code == 2
    assert "leave out --checkpoint" in result.stderr


def test_a_captioner_can_be_trained_and_scored_from_the_command_line(
    run: Callable[..., Result], caption_data: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text('[data]\nimage_size = 64\nmin_count = 1\n[encoder]\nweights = "none"\n')
    arguments = ["--data", str(caption_data), "--recipe", str(recipe), "--output", str(tmp_path / "mine")]
    small = ["decoder.hidden_size=16", "training.epochs=1", "training.batch_size=4"]
    trained = CliRunner().invoke(train, [*arguments, "--device", "cpu", *small])
    assert trained.exit_code == 0, trained.output
    assert "epoch 1: loss" in trained.stderr
    scored = run("--checkpoint", tmp_path / "mine", "--json", "--device", "cpu")
    assert json.loads(scored.stdout)["n"] == 4


def test_a_typo_on_the_command_line_is_named(caption_data: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(caption_data), "--recipe", "starter", "--output", str(tmp_path / "x")]
    result = CliRunner().invoke(train, [*arguments, "decoder.hiden_size=16"])
    assert isinstance(result.exception, RecipeError)
    assert 'did you mean "hidden_size"' in str(result.exception)
