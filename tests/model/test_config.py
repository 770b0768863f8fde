"""Recipes."""

from pathlib import Path

import pytest

from model.config import Recipe, load_recipe, override, recipe_from_dict, recipe_to_dict
from model.errors import RecipeError


def test_the_starter_recipe_can_be_read() -> None:
    recipe = load_recipe("starter")
    assert (recipe.encoder.name, recipe.decoder.name) == ("mobilenet_v2", "attention_lstm")


def test_a_recipe_survives_the_way_to_plain_tables_and_back() -> None:
    recipe = load_recipe("starter", ["search.beam_size=5"])
    assert recipe_from_dict(recipe_to_dict(recipe), source="test") == recipe


def test_overrides_come_last(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[training]\nepochs = 7\nseed = 3\n")
    recipe = load_recipe(str(file), ["training.epochs=9", "encoder.weights=none", "training.learning_rate=1"])
    assert (recipe.training.epochs, recipe.training.seed) == (9, 3)
    assert recipe.encoder.weights == "none"
    assert recipe.training.learning_rate == 1.0


def test_a_typo_names_table_key_file_and_the_nearest_key(tmp_path: Path) -> None:
    file = tmp_path / "typo.toml"
    file.write_text("[training]\nlerning_rate = 0.1\n")
    with pytest.raises(
        RecipeError, match=r'"lerning_rate" in \[training\] of .*typo.toml; .*"learning_rate"'
    ):
        load_recipe(str(file))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("trainig.epochs=3", r"unknown table \[trainig\].*training"),
        ("training.epochs=soon", "must be of type int"),
        ("training.epochs=true", "must be of type int"),
        ("training.batch_size=0", "must lie between 1"),
        ("training.precision=float8", "choose one of float32, bfloat16"),
        ("decoder.dropout=nan", "must lie between"),
        ("epochs=3", "write it as table.key=value"),
        ("training.epochs", "write it as table.key=value"),
    ],
)
def test_an_override_that_cannot_be_used_is_refused(change: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        override(Recipe(), [change])


def test_an_unknown_recipe_lists_those_there_are() -> None:
    with pytest.raises(RecipeError, match=r'"stater".*starter'):
        load_recipe("stater")


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no recipe file"):
        load_recipe(str(tmp_path / "none.toml"))
    (tmp_path / "broken.toml").write_text("[training\n")
    with pytest.raises(RecipeError, match=r"broken\.toml is not TOML"):
        load_recipe(str(tmp_path / "broken.toml"))
