"""Checkpoint folders, whole and broken."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import model.checkpoint
from model.checkpoint import load_checkpoint, save_checkpoint
from model.description import Calibration, read_description
from model.errors import CheckpointError


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


@pytest.fixture
def edit(folder: Path) -> Callable[[str, Any], None]:
    """Set one value of checkpoint.json, by a dotted path."""

    def set_value(path: str, value: Any) -> None:
        file = folder / "checkpoint.json"
        content = json.loads(file.read_text())
        *parents, last = path.split(".")
        place = content
        for key in parents:
            place = place[key]
        place[last] = value
        file.write_text(json.dumps(content))

    return set_value


def test_a_checkpoint_loads_as_it_was_saved_in_half_precision(folder: Path, tmp_path: Path) -> None:
    captioner, description = load_checkpoint(folder)
    again = save_checkpoint(tmp_path / "copy", captioner.state_dict(), description)
    assert again == description
    copied, _ = load_checkpoint(tmp_path / "copy")
    assert all(value.dtype is not torch.float16 for value in copied.state_dict().values())
    for name, value in captioner.state_dict().items():
        assert torch.equal(copied.state_dict()[name], value), name


def test_saving_over_a_checkpoint_replaces_it_and_leaves_nothing_else(folder: Path) -> None:
    captioner, description = load_checkpoint(folder)
    weights = {name: value * 0 for name, value in captioner.state_dict().items()}
    save_checkpoint(folder, weights, description)
    replaced, _ = load_checkpoint(folder)
    assert not any(value.any() for value in replaced.state_dict().values())
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.json", "weights.safetensors"]


def test_a_full_disk_leaves_the_old_checkpoint_intact(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captioner, description = load_checkpoint(folder)

    def no_space(path: Path, *_: Any, **__: Any) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(model.checkpoint.Path, "write_text", no_space)
    with pytest.raises(CheckpointError, match="No space left"):
        save_checkpoint(folder, captioner.state_dict(), description)
    assert load_checkpoint(folder)[1] == description


def test_weights_that_half_precision_cannot_hold_are_refused(folder: Path, tmp_path: Path) -> None:
    captioner, description = load_checkpoint(folder)
    weights = captioner.state_dict()
    weights["decoder.bias"][0] = 1e6
    with pytest.raises(CheckpointError, match=r"decoder\.bias .*stored_precision=float32"):
        save_checkpoint(tmp_path / "other", weights, description)


def test_a_folder_without_a_checkpoint_says_what_to_pass(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"has no checkpoint\.json; pass a folder written by recaption train"
    ):
        read_description(tmp_path)


def test_missing_foreign_and_damaged_weights_are_refused(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1])
    with pytest.raises(CheckpointError, match="its hash differs"):
        load_checkpoint(folder)
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"no weights\.safetensors"):
        load_checkpoint(folder)


def test_weights_of_another_network_are_refused(folder: Path, edit: Callable[[str, Any], None]) -> None:
    edit("recipe.decoder.hidden_size", 25)
    with pytest.raises(CheckpointError, match="does not fit its recipe"):
        load_checkpoint(folder)


def test_a_newer_format_is_refused(folder: Path, edit: Callable[[str, Any], None]) -> None:
    edit("format", 99)
    with pytest.raises(CheckpointError, match="format 99, written by a newer Recaption"):
        read_description(folder)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("recipe.decoder.hidden_size", 10**9),
        ("recipe.decoder.unheard_of", 1),
        ("recipe.search.beam_size", 10_000),
        ("preprocessing.size", 10**6),
        ("preprocessing.framing", "origami"),
        ("preprocessing.std", [0.0, 1.0, 1.0]),
        ("preprocessing.mean", ["a", "b", "c"]),
        ("vocabulary", ["a", "b"]),
        ("vocabulary", "words"),
        ("vocabulary", ["<pad>", "<start>", "<end>", "<unk>", "x" * 1000]),
        ("weights_sha256", "../../etc"),
        ("format", "1"),
        ("scores", 3),
        ("calibration", {"slope": 0.0, "bias": 1.0}),
        ("calibration", {"slope": 1.0, "bias": 1e300}),
        ("calibration", {"slope": "steep", "bias": 1.0}),
        ("calibration", {"slope": 1.0}),
        ("calibration", {"slope": 1.0, "bias": 1.0, "third": 1.0}),
        ("calibration", []),
        ("word_calibration", {"slope": -1.0, "bias": 1.0}),
    ],
)
def test_values_out_of_bounds_are_refused(
    folder: Path, edit: Callable[[str, Any], None], path: str, value: Any
) -> None:
    edit(path, value)
    with pytest.raises(CheckpointError):
        read_description(folder)


def test_a_calibration_is_kept_and_may_be_missing(folder: Path, tmp_path: Path) -> None:
    captioner, description = load_checkpoint(folder)
    assert (description.calibration, description.word_calibration) == (None, None)
    calibrated = dataclasses.replace(
        description,
        calibration=Calibration(slope=1.5, bias=-0.25),
        word_calibration=Calibration(slope=0.5, bias=0.25),
    )
    saved = save_checkpoint(tmp_path / "copy", captioner.state_dict(), calibrated)
    assert read_description(tmp_path / "copy") == saved
    assert saved.calibration == calibrated.calibration
    assert saved.word_calibration == calibrated.word_calibration
    content = json.loads((folder / "checkpoint.json").read_text())
    del content["calibration"], content["word_calibration"]
    (folder / "checkpoint.json").write_text(json.dumps(content))
    assert read_description(folder) == description


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": 1}', "\x00"])
def test_a_damaged_description_is_refused(folder: Path, content: str) -> None:
    (folder / "checkpoint.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"checkpoint\.json"):
        read_description(folder)
