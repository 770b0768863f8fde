"""Checkpoints: a folder with `weights.safetensors` and `checkpoint.json`. Never a pickle."""

import dataclasses
import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from model.captioner import Captioner, build_captioner
from model.description import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    Description,
    description_to_json,
    read_description,
)
from model.errors import CheckpointError

PRECISIONS = {"float16": torch.float16, "float32": torch.float32}


def save_checkpoint(folder: Path, weights: Mapping[str, Tensor], description: Description) -> Description:
    """Write a checkpoint in the recipe's stored precision; returns the description with the weights' hash.

    Both files are complete before either takes its place, so a full disk leaves the old checkpoint as it was.
    Raises CheckpointError for weights that the stored precision cannot hold.
    """
    precision = description.recipe.training.stored_precision
    stored = {name: _stored(name, value, PRECISIONS[precision]) for name, value in weights.items()}
    partial = folder / ".partial"
    partial.mkdir(parents=True, exist_ok=True)
    try:
        (partial / WEIGHTS_FILE).write_bytes(save(stored))
        described = dataclasses.replace(description, weights_sha256=file_sha256(partial / WEIGHTS_FILE))
        (partial / DESCRIPTION_FILE).write_text(description_to_json(described), encoding="utf-8")
        for name in (WEIGHTS_FILE, DESCRIPTION_FILE):
            (partial / name).replace(folder / name)
    except OSError as error:
        raise CheckpointError(f'cannot write the checkpoint "{folder}": {error}') from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return described


def load_checkpoint(folder: Path) -> tuple[Captioner, Description]:
    """A captioner in float32 and evaluation mode, with its description.

    Raises CheckpointError when a file is missing, damaged, too new, or does not fit the other.
    """
    description = read_description(folder)
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise CheckpointError(f'checkpoint folder "{folder}" has no {WEIGHTS_FILE}')
    if file_sha256(path) != description.weights_sha256:
        raise CheckpointError(f'"{path}" is not the file that {DESCRIPTION_FILE} describes: its hash differs')
    captioner = build_captioner(description.recipe, description.vocabulary)
    try:
        weights = {name: _computed(value) for name, value in load_file(path).items()}
        captioner.load_state_dict(weights)
    except (SafetensorError, RuntimeError) as error:
        raise CheckpointError(f'"{path}" does not fit its recipe: {error}') from error
    return captioner.eval(), description


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stored(name: str, value: Tensor, precision: torch.dtype) -> Tensor:
    if not value.is_floating_point():
        return value.cpu().contiguous()
    stored = value.detach().to("cpu", precision).contiguous()
    if not stored.isfinite().all():
        raise CheckpointError(
            f"{name} holds values that {precision} cannot; set training.stored_precision=float32"
        )
    return stored


def _computed(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
