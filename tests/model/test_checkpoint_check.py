"""Checkpoints from elsewhere, tried out as the hidden command does."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from model.checkpoint import file_sha256
from model.checkpoint_check import check
from model.config import override
from model.description import description_to_json, read_description
from model.errors import CheckpointError

Altered = Callable[..., Path]


@pytest.fixture
def altered(tiny_checkpoint: Path, tmp_path: Path) -> Altered:
    """A function that writes the tiny checkpoint with a recipe that is not its own."""

    def alter(*overrides: str) -> Path:
        description = read_description(tiny_checkpoint)
        other = dataclasses.replace(description, recipe=override(description.recipe, overrides))
        (tmp_path / "checkpoint.json").write_text(description_to_json(other))
        shutil.copy(tiny_checkpoint / "weights.safetensors", tmp_path)
        return tmp_path

    return alter


def test_a_sound_checkpoint_passes(tiny_checkpoint: Path) -> None:
    check(tiny_checkpoint)


def test_shapes_that_do_not_fit_are_named(altered: Altered) -> None:
    with pytest.raises(CheckpointError, match=r"does not fit its recipe: decoder\.\S+ is \[.*asks for \["):
        check(altered("decoder.hidden_size=25"))


def test_a_network_that_is_far_too_large_is_never_built(
    altered: Altered, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(folder: Path) -> None:
        raise AssertionError("there was room made for it")

    monkeypatch.setattr("model.checkpoint.load_checkpoint", build)
    folder = altered("decoder.hidden_size=4096", "decoder.embedding_size=4096", "encoder.name=vgg16")
    with pytest.raises(CheckpointError, match="does not fit its recipe"):
        check(folder)


def test_weights_that_are_no_numbers_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    weights = load_file(tiny_checkpoint / "weights.safetensors")
    weights["decoder.embedding.weight"][5, 3] = float("nan")
    save_file(weights, tmp_path / "weights.safetensors")
    content = json.loads((tiny_checkpoint / "checkpoint.json").read_text())
    content["weights_sha256"] = file_sha256(tmp_path / "weights.safetensors")
    (tmp_path / "checkpoint.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"decoder\.embedding\.weight holds values that are no numbers"):
        check(tmp_path)


def test_bytes_that_are_no_weights_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.json").write_bytes((tiny_checkpoint / "checkpoint.json").read_bytes())
    for data in (b"", b"cos\nsystem\n(S'true'\ntR.", b"\xff" * 64):
        (tmp_path / "weights.safetensors").write_bytes(data)
        with pytest.raises(CheckpointError, match="holds no weights"):
            check(tmp_path)
