"""The recipes that come with the package: what each is known for, and that each trains and captions."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.config import Recipe, load_recipe, override, recipe_to_dict
from model.description import read_description
from model.predictor import Predictor
from model.training import train

NAMES = sorted(path.name.removesuffix(".toml") for path in (resources.files("model") / "recipes").iterdir())
KNOWN_FOR: dict[str, dict[str, Any]] = {
    "merge_state": {
        "encoder.name": "resnet50",
        "decoder.name": "init_inject_lstm",
        "data.tokenizer": "nltk",
        "training.objective": "every_token",
        "search.beam_size": 1,
    },
    "show_and_tell": {
        "encoder.name": "efficientnet_b0",
        "decoder.name": "pre_inject_lstm",
        "search.beam_size": 1,
    },
    "resnet_packed": {
        "encoder.name": "resnet50",
        "encoder.grid_size": 1,
        "decoder.name": "packed_lstm",
        "decoder.embedding_size": 300,
        "training.batch_size": 32,
        "training.objective": "last_token",
    },
    "show_attend_tell": {
        "encoder.name": "resnet50",
        "encoder.grid_size": 14,
        "decoder.name": "soft_attention_lstm",
        "data.tokenizer": "spacy",
        "training.learning_rate": 3e-4,
        "training.weight_decay": 0.0,
        "training.batch_of": "captions",
        "training.batch_size": 32,
        "training.tensorboard": True,
    },
    "transformer": {"encoder.name": "resnet50", "encoder.grid_size": 14, "decoder.name": "transformer"},
    "starter": {
        "encoder.name": "mobilenet_v2",
        "encoder.trained_blocks": 15,
        "data.crop": 0.6,
        "decoder.name": "attention_lstm",
        "decoder.hidden_size": 256,
    },
}
SMALL = (
    "data.image_size=64",
    "data.min_count=1",
    "encoder.weights=none",
    "decoder.embedding_size=16",
    "decoder.hidden_size=16",
    "training.epochs=1",
    "training.frozen_epochs=0",
    "training.self_critical_epochs=0",
    "training.averaged_epochs=0",
    "training.batch_size=4",
    "training.tensorboard=false",
)


def test_every_recipe_of_the_package_is_listed_here() -> None:
    assert sorted(KNOWN_FOR) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_has_what_it_is_known_for(name: str) -> None:
    tables = recipe_to_dict(load_recipe(name))
    stated = {key: tables[key.split(".")[0]][key.split(".")[1]] for key in KNOWN_FOR[name]}
    assert stated == KNOWN_FOR[name]
    assert tables["encoder"]["weights"] == "imagenet"


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_trains_saves_and_captions(
    name: str, caption_data: Path, tmp_path: Path, drawn: Callable[..., np.ndarray]
) -> None:
    recipe: Recipe = override(load_recipe(name), SMALL)
    lines: list[str] = []
    train(recipe, source=caption_data, output=tmp_path, name=name, device="cpu", report=lines.append)
    assert lines[-1].startswith("epoch 1, teacher forcing: loss ")
    assert read_description(tmp_path).recipe == recipe
    predictor = Predictor.load(tmp_path, device="cpu")
    together = predictor.predict([drawn(1), drawn(2, 60, 90)], attention=True)
    (alone,) = predictor.predict([drawn(1)])
    assert together[0].text == alone.text
    assert together[0].score == pytest.approx(alone.score, abs=1e-4)
    attends = recipe.decoder.name in ("soft_attention_lstm", "attention_lstm", "transformer")
    assert all((one.attention is not None) == attends for one in together)
