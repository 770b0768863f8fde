"""What a checkpoint is retrained by, and what is told of a training while it runs."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from model.config import Recipe, override, recipe_to_dict
from model.description import read_description, starter_folder
from model.errors import TrainingError, TrainingStopped
from model.retraining import CHANGES, retraining_recipe
from model.training import train
from model.training_lock import alone_in
from model.training_progress import Pace, Watched
from tests.model.conftest import draw

BIN = Path(sys.executable).parent


def command(data: Path, base: Path, output: Path, *more: str) -> list[str]:
    given = ["--data", str(data), "--from", str(base), "--output", str(output), "--device", "cpu"]
    return [str(BIN / "recaption"), "train", *given, "training.tensorboard=false", *more]


def test_a_checkpoint_goes_on_with_its_own_recipe_and_a_frozen_encoder() -> None:
    base = read_description(starter_folder())
    recipe = retraining_recipe(base)
    assert recipe.decoder == base.recipe.decoder
    assert (recipe.encoder.trained_blocks, recipe.data.crop, recipe.training.self_critical_epochs) == (
        0,
        1.0,
        0,
    )
    tables, changed = recipe_to_dict(base.recipe), recipe_to_dict(recipe)
    named = {text.partition("=")[0] for text in CHANGES}
    differ = {
        f"{table}.{key}"
        for table in tables
        for key in tables[table]
        if tables[table][key] != changed[table][key]
    }
    assert differ <= named


def test_the_command_needs_no_recipe_where_there_is_a_base(
    caption_data: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    run = command(
        caption_data, tiny_checkpoint, tmp_path / "out", "training.epochs=1", "training.batch_size=4"
    )
    done = subprocess.run(run, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    described = read_description(tmp_path / "out")
    assert described.recipe.training.patience == 3
    assert described.lineage["parent"] == "tiny"
    progress = json.loads((tmp_path / "out" / "training" / "progress.json").read_text())
    assert (progress["stage"], progress["epochs"], progress["updates"]) == ("measuring", 1, 2)
    assert progress["seconds_left"] == 0.0

    nothing = [part for part in run if part not in ("--from", str(tiny_checkpoint))]
    refused = subprocess.run(nothing, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert "give --recipe, or --from with a checkpoint" in refused.stderr


def test_a_training_that_is_told_to_stop_saves_its_state_and_ends_bit_by_bit_the_same(
    caption_data: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    settings = ("training.epochs=6", "training.patience=0", "training.batch_size=1", "training.ema_decay=0.9")
    whole = command(caption_data, tiny_checkpoint, tmp_path / "whole", *settings)
    assert subprocess.run(whole, capture_output=True, timeout=120).returncode == 0

    stopped = command(caption_data, tiny_checkpoint, tmp_path / "out", *settings)
    process = subprocess.Popen(stopped, stderr=subprocess.PIPE, text=True)
    progress = tmp_path / "out" / "training" / "progress.json"
    deadline = time.monotonic() + 60
    while not (progress.is_file() and json.loads(progress.read_text())["stage"] == "training"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGTERM, said
    assert "go on with --resume" in said
    again = subprocess.run([*stopped, "--resume"], capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert "going on in epoch" in again.stderr
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "out")]
    assert weights[0] == weights[1]


def test_two_trainings_never_share_a_folder(caption_data: Path, small_recipe: Recipe, tmp_path: Path) -> None:
    with (
        alone_in(tmp_path / "out" / "training"),
        pytest.raises(TrainingError, match="another process trains"),
    ):
        train(small_recipe, source=caption_data, output=tmp_path / "out", name="out", device="cpu")


def test_what_the_data_say_of_themselves_is_in_the_lineage(small_recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    images = []
    for number, (split, source) in enumerate(
        [("train", "dataset"), ("train", "replay"), ("train", "replay"), ("val", "dataset")]
    ):
        Image.fromarray(draw(number)).save(folder / "images" / f"{number}.jpg")
        sentences = [{"raw": f"A boat number {number}"}]
        images.append({"filename": f"{number}.jpg", "split": split, "source": source, "sentences": sentences})
    about = {"dataset": "harbour@3", "manifest_sha256": "2" * 64}
    (folder / "dataset.json").write_text(json.dumps({"images": images, "about": about}))
    described = train(
        override(small_recipe, ["training.epochs=1", "training.tensorboard=false"]),
        source=folder,
        output=tmp_path / "out",
        name="out",
        device="cpu",
        report=lambda line: None,
    )
    assert described.lineage["data"] == about
    assert described.lineage["training_sources"] == {"dataset": 1, "replay": 2}


def test_the_time_left_counts_updates_and_what_an_epoch_takes_beyond_them() -> None:
    pace = Pace()
    assert pace.seconds_left(updates=10, epochs=2) is None
    pace.updates, pace.in_updates = 4, 2.0
    assert pace.seconds_left(updates=10, epochs=2) == 5.0
    pace.epochs, pace.in_epochs = 1, 5.0
    assert pace.seconds_left(updates=10, epochs=2) == 11.0


def test_progress_is_replaced_as_a_whole_and_not_all_the_time(tmp_path: Path) -> None:
    watched = Watched(folder=tmp_path)
    for number in range(5):
        watched.say("training", step=number)
    assert json.loads((tmp_path / "progress.json").read_text()) == {"stage": "training", "step": 0}
    watched.say("measuring")
    assert json.loads((tmp_path / "progress.json").read_text()) == {"stage": "measuring"}
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]


def test_a_training_stops_between_two_batches_of_features_too(
    caption_data: Path, small_recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(TrainingStopped):
        train(
            small_recipe,
            source=caption_data,
            output=tmp_path / "out",
            name="out",
            device="cpu",
            stopping=lambda: True,
        )
    assert json.loads((tmp_path / "out" / "training" / "progress.json").read_text())["stage"] == "features"
    with alone_in(tmp_path / "out" / "training"):
        pass


def test_a_full_disk_under_the_progress_is_named(
    tmp_path: Path, no_larger_files: Callable[..., object]
) -> None:
    with no_larger_files(0), pytest.raises(TrainingError, match="make room there"):  # type: ignore[attr-defined]
        Watched(folder=tmp_path).say("training", step=1)
