"""Several checkpoints on the same photos, through the command."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from model.checkpoint import load_checkpoint, save_checkpoint
from model.commands import evaluate
from model.config import override
from model.errors import CheckpointError

Make = Callable[..., Path]


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Make:
    """Another checkpoint, whose words are a little other ones for each seed."""

    def make(name: str, seed: int, *overrides: str) -> Path:
        captioner, description = load_checkpoint(tiny_checkpoint)
        weights = captioner.state_dict()
        weights["decoder.embedding.weight"] = weights["decoder.embedding.weight"].roll(seed + len(name), 0)
        recipe = override(description.recipe, [f"training.seed={seed}", *overrides])
        save_checkpoint(tmp_path / name, weights, dataclasses.replace(description, name=name, recipe=recipe))
        return tmp_path / name

    return make


@pytest.fixture
def run(caption_data: Path, tiny_checkpoint: Path) -> Callable[..., Result]:
    def command(*arguments: str | Path) -> Result:
        first = ["--checkpoint", str(tiny_checkpoint), "--device", "cpu"]
        data = ["--data", str(caption_data), "--split", "dev"]
        return CliRunner().invoke(evaluate, [*data, *first, *map(str, arguments)])

    return command


def printed(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_details_hold_all_checkpoints_by_name_also_those_of_one_name(
    run: Callable[..., Result], checkpoint: Make, tmp_path: Path
) -> None:
    other, file = checkpoint("b", 2), tmp_path / "details"
    found = printed(run("--json", "--details", file, "--against", other, other))
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    names = ["tiny", "b (2)", "b (3)"]
    assert all(list(row["captions"]) == list(row["cider"]) == names for row in rows)
    difference = sum(row["cider"]["b (2)"] - row["cider"]["tiny"] for row in rows) / len(rows)
    assert found["against"][0]["difference"]["cider"]["value"] == pytest.approx(difference, abs=1e-6)


def test_folders_may_follow_against_or_it_may_be_repeated(
    run: Callable[..., Result], checkpoint: Make
) -> None:
    others = [checkpoint("b", 2), checkpoint("c", 3)]
    followed = printed(run("--json", "--against", *others))
    repeated = printed(run("--json", "--against", others[0], "--against", others[1]))
    assert followed == repeated
    assert followed["checkpoint"] == "tiny"
    assert [other["checkpoint"] for other in followed["against"]] == ["b", "c"]


def test_a_difference_is_that_of_the_two_scores(run: Callable[..., Result], checkpoint: Make) -> None:
    found = printed(run("--json", "--against", checkpoint("b", 2)))
    (other,) = found["against"]
    for name, difference in other["difference"].items():
        assert difference["value"] == pytest.approx(other["scores"][name] - found["scores"][name], abs=2e-6)
        assert difference["low"] <= difference["value"] <= difference["high"]
        assert 0 < difference["p"] <= 1


def test_recipes_that_differ_in_the_seed_alone_are_one(run: Callable[..., Result], checkpoint: Make) -> None:
    mine = [checkpoint("b", 2), checkpoint("c", 3)]
    theirs = [checkpoint(f"d{seed}", seed, "training.epochs=7") for seed in (1, 2, 3)]
    recipes = printed(run("--json", "--against", *mine, *theirs))["recipes"]
    assert [recipe["checkpoints"] for recipe in recipes] == [["tiny", "b", "c"], ["d1", "d2", "d3"]]
    assert [recipe["seeds"] for recipe in recipes] == [3, 3]
    first, second = recipes
    assert first["difference"] is first["note"] is second["note"] is None
    difference = second["difference"]["rouge_l"]
    assert difference["value"] == pytest.approx(second["mean"]["rouge_l"] - first["mean"]["rouge_l"])
    assert set(second["sd"]) == set(second["mean"])


def test_fewer_than_three_seeds_are_said_to_be_too_few(run: Callable[..., Result], checkpoint: Make) -> None:
    other = checkpoint("d", 1, "training.epochs=7")
    table = run("--against", checkpoint("b", 2), checkpoint("c", 3), other).stdout
    assert "d: two recipes are compared over at least three seeds each; one of these has 1" in table


def test_a_checkpoint_named_twice_is_one_seed(
    run: Callable[..., Result], checkpoint: Make, tiny_checkpoint: Path
) -> None:
    (recipe,) = printed(run("--json", "--against", tiny_checkpoint, tiny_checkpoint))["recipes"]
    assert (recipe["seeds"], recipe["sd"]) == (1, None)


def test_the_table_has_a_row_a_checkpoint_and_a_row_a_recipe(
    run: Callable[..., Result], checkpoint: Make
) -> None:
    table = run("--against", checkpoint("b", 2), checkpoint("c", 3, "training.epochs=7")).stdout.splitlines()
    assert table[0].startswith("4 photos of dev, 2 references, ptb tokens")
    systems, recipes = (
        [line.split(maxsplit=1)[0] for line in table[start + 1 :] if line.strip()]
        for start in (3, table.index("", 4))
    )
    interval = ["95", "95"]
    assert systems[:10] == ["tiny", *interval, "b", *interval, "c", *interval, "people"]
    assert "cider against the first, p" in table[3]
    assert recipes[0] == "recipes,"
    assert "tiny" in recipes
    assert "c" in recipes


def test_captions_of_a_file_can_be_compared_with_checkpoints(
    caption_data: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    file = tmp_path / "theirs.jsonl"
    file.write_text(
        "".join(json.dumps({"image": f"{n}.png", "caption": "A dog."}) + "\n" for n in range(8, 12))
    )
    arguments = ["--data", str(caption_data), "--split", "dev", "--captions", str(file), "--json"]
    found = printed(
        CliRunner().invoke(evaluate, [*arguments, "--against", str(tiny_checkpoint), "--device", "cpu"])
    )
    assert found["checkpoint"] is None
    assert found["against"][0]["checkpoint"] == "tiny"
    assert [recipe["name"] for recipe in found["recipes"]] == ["tiny"]


def test_a_mistyped_folder_is_named(run: Callable[..., Result], tmp_path: Path) -> None:
    error = run("--against", tmp_path / "nowhere").exception
    assert isinstance(error, CheckpointError)
    assert "nowhere" in str(error)


def test_folders_without_against_are_wrong_usage(run: Callable[..., Result], checkpoint: Make) -> None:
    result = run(checkpoint("b", 2))
    assert result.exit_code == 2
    assert "write --against before" in result.stderr
