"""`recaption train` as people run it: killed, resumed, and in several processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

BIN = Path(sys.executable).parent
RECIPE = (
    "data.image_size=64",
    "data.min_count=1",
    "encoder.weights=none",
    "encoder.trained_blocks=0",
    "decoder.embedding_size=16",
    "decoder.hidden_size=24",
    "training.batch_size=2",
    "training.precision=float32",
    "training.stored_precision=float32",
    "training.tensorboard=false",
)


def command(data: Path, output: Path, *more: str) -> list[str]:
    options = ["--data", str(data), "--recipe", "starter", "--output", str(output), "--device", "cpu"]
    return [
        str(BIN / "recaption"),
        "train",
        *options,
        "--cache",
        str(output.parent / "cache"),
        *RECIPE,
        *more,
    ]


def run(arguments: list[str], **environment: str) -> str:
    done = subprocess.run(
        arguments, capture_output=True, text=True, timeout=250, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def weights(output: Path) -> bytes:
    return (output / "weights.safetensors").read_bytes()


def last_state(output: Path, kept: str) -> dict[str, torch.Tensor]:
    state = load_file(output / "training" / "state.safetensors")
    return {name: value for name, value in state.items() if name.startswith(f"{kept}.")}


def test_a_killed_run_that_is_resumed_ends_bit_by_bit_the_same(caption_data: Path, tmp_path: Path) -> None:
    """Forty updates with the state saved after each, killed three times wherever they happen to be."""
    keys = ["training.epochs=8", "training.self_critical_epochs=2", "training.save_minutes=0"]
    run(command(caption_data, tmp_path / "whole", *keys))
    killed = command(caption_data, tmp_path / "killed", *keys)
    state = tmp_path / "killed" / "training" / "state.safetensors"
    deaths = 0
    for _ in range(3):
        before = state.stat().st_mtime_ns if state.is_file() else 0
        process = subprocess.Popen(
            killed if not state.is_file() else [*killed, "--resume"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and (not state.is_file() or state.stat().st_mtime_ns == before):
            time.sleep(0.002)
        time.sleep(0.15)
        process.send_signal(signal.SIGKILL)
        deaths += process.wait() == -signal.SIGKILL
    assert deaths, "the run was over before it could be killed; give it more epochs"
    said = run([*killed, "--resume"])
    assert "going on in epoch" in said
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    for kept in ("part", "average", "optimizer"):
        whole, resumed = (last_state(tmp_path / name, kept) for name in ("whole", "killed"))
        assert whole
        assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    description = (tmp_path / "killed" / "checkpoint.json").read_text()
    assert description.replace('"killed"', '"whole"') == (tmp_path / "whole" / "checkpoint.json").read_text()


@pytest.mark.parametrize("decoder", ["attention_lstm", "init_inject_lstm"])
def test_two_processes_learn_what_one_learns(decoder: str, caption_data: Path, tmp_path: Path) -> None:
    """Over gloo, without dropout, whose masks would differ; one of them gets no photo of the last batch."""
    keys = ["training.epochs=2", "training.self_critical_epochs=0", "training.batch_size=7"]
    sizes = [f"decoder.name={decoder}", "decoder.dropout=0"]
    sizes += ["decoder.attention_size=256"] if decoder == "init_inject_lstm" else []
    arguments = [*keys, *sizes, "data.flip=false", "encoder.trained_blocks=2", "training.frozen_epochs=0"]
    run(command(caption_data, tmp_path / "one", *arguments))
    torchrun = [str(BIN / "torchrun"), "--standalone", "--nproc-per-node", "2", "--no-python"]
    said = run([*torchrun, *command(caption_data, tmp_path / "two", *arguments)], OMP_NUM_THREADS="1")
    assert "2 processes" in said
    assert said.count("epoch 1,") == 1, "one process reports for all"
    for kept in ("part", "average"):
        one, two = (last_state(tmp_path / name, kept) for name in ("one", "two"))
        assert one
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-5)


def test_a_typo_in_a_recipe_names_the_nearest_key(caption_data: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command(caption_data, tmp_path / "out", "training.epoch=1"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert 'did you mean "epochs"?' in done.stderr
    assert "Traceback" not in done.stderr
