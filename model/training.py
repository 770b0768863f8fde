"""`recaption train`: from a folder of captioned photos to a checkpoint."""

import copy
import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.captioner import Captioner, build_captioner, preprocessing_of
from model.checkpoint import load_checkpoint, save_checkpoint
from model.config import Recipe
from model.data import CaptionData, Example, content_hashes, data_hash, read_data, refuse_same_bytes
from model.description import Description
from model.devices import pick_device
from model.encoder import load_base_weights
from model.errors import TrainingError
from model.evaluation import caption_features, evaluate
from model.features import cached_features, weights_hash
from model.tokenizer import TOKENIZERS
from model.trainer import Trainer, TrainingSet
from model.vocabulary import Vocabulary

STATE_FILE = "training/state.safetensors"


@dataclass(frozen=True, kw_only=True)
class _Photos:
    """A split with the hash of each photo and the features of each variant of it."""

    split: str
    examples: Sequence[Example]
    hashes: Sequence[str]
    variants: Sequence[np.ndarray]


def train(
    recipe: Recipe,
    *,
    source: Path,
    output: Path,
    name: str,
    base: Path | None = None,
    resume: bool = False,
    cache: Path | None = None,
    device: str = "auto",
    progress: bool = False,
    report: Callable[[str], None] = print,
) -> Description:
    """Train on the split "train"; keep the epoch with the best CIDEr-D on the validation split, describe it.

    `base` is a checkpoint to start from; its vocabulary is extended. The state
    after each epoch lies in `output`/training. Raises DataError, CheckpointError and TrainingError.
    """
    # Tiny gradients become denormal numbers, on which a CPU is many times slower. Threads take the setting
    # from the one that starts them, so it comes before the first tensor.
    torch.set_flush_denormal(True)
    if recipe.training.epochs + recipe.training.self_critical_epochs == 0:
        raise TrainingError("training.epochs and training.self_critical_epochs are both 0; set one of them")
    data = read_data(source)
    words = _tokenized(data.split("train"), recipe)
    captioner, vocabulary, licence, lineage = _starting_point(recipe, words, base)
    captioner.to(pick_device(device))
    cache = cache or output / "training"
    training, validation = _photos(data, captioner, recipe, cache=cache, progress=progress)
    training_set = TrainingSet(
        variants=training.variants,
        tokens=[
            [vocabulary.encode(caption, max_length=recipe.data.max_length) for caption in group]
            for group in words
        ],
    )
    lineage |= {
        "training_photos": len(training.examples),
        "training_data_sha256": data_hash(training.examples, training.hashes),
    }
    description = Description(
        name=name,
        recipe=_portable(recipe),
        vocabulary=vocabulary,
        preprocessing=preprocessing_of(recipe),
        lineage=lineage,
        licence=licence,
    )
    trainer = Trainer(
        captioner=captioner, vocabulary=vocabulary, recipe=description.recipe, training_set=training_set
    )
    if resume:
        trainer.load(output / STATE_FILE)
    report(f"{len(training.examples)} photos, {len(vocabulary)} words, {trainer.epochs} epochs")
    return _run(trainer, captioner, description, validation, output=output, progress=progress, report=report)


def _run(
    trainer: Trainer,
    captioner: Captioner,
    description: Description,
    validation: _Photos,
    *,
    output: Path,
    progress: bool,
    report: Callable[[str], None],
) -> Description:
    references = [example.captions for example in validation.examples]
    trained_blocks = description.recipe.encoder.trained_blocks
    best = copy.deepcopy(captioner)
    while trainer.epoch < trainer.epochs:
        started = time.monotonic()
        loss = trainer.train_epoch(progress=progress)
        score = trainer.validate(validation.variants[0], references)
        seconds = time.monotonic() - started
        report(f"epoch {trainer.epoch}: loss {loss:.4f}, validation CIDEr {score:.4f}, {seconds:.0f} s")
        if score > trainer.best:
            trainer.best = score
            best.trained_part(trained_blocks).load_state_dict(trainer.averaged().state_dict())
            described = dataclasses.replace(
                description,
                scores={"split": validation.split, "beam_size": 1, "scores": {"cider": round(score, 4)}},
                lineage={**description.lineage, "best_epoch": trainer.epoch},
            )
            description = save_checkpoint(output, best.state_dict(), described)
        trainer.save(output / STATE_FILE)
    return _scored(output, validation, device=trainer.device)


def _scored(folder: Path, validation: _Photos, *, device: torch.device) -> Description:
    """Score the best epoch as it was stored, with its own beam size, and write that into the checkpoint."""
    captioner, description = load_checkpoint(folder)
    recipe = description.recipe
    captions = caption_features(
        captioner.trained_part(recipe.encoder.trained_blocks).to(device).eval(),
        validation.variants[0],
        vocabulary=description.vocabulary,
        text=recipe.text,
        device=device,
        beam_size=recipe.search.beam_size,
        max_length=recipe.search.max_length,
        length_penalty=recipe.search.length_penalty,
    )
    scores = evaluate(validation.split, validation.examples, captions, beam_size=recipe.search.beam_size)
    described = dataclasses.replace(description, scores=dataclasses.asdict(scores))
    return save_checkpoint(folder, captioner.state_dict(), described)


def _starting_point(
    recipe: Recipe, words: Sequence[Sequence[list[str]]], base: Path | None
) -> tuple[Captioner, Vocabulary, str, dict[str, Any]]:
    captions = [caption for group in words for caption in group]
    if base is None:
        vocabulary = Vocabulary.build(captions, min_count=recipe.data.min_count)
        torch.manual_seed(recipe.training.seed)
        captioner = build_captioner(recipe, vocabulary)
        load_base_weights(captioner.encoder, name=recipe.encoder.name, weights=recipe.encoder.weights)
        licence = recipe.data.licence
        lineage: dict[str, Any] = {"base_weights": _file_name(recipe.encoder.weights)}
    else:
        old, described = load_checkpoint(base)
        _refuse_other_network(recipe, described.recipe, base)
        vocabulary = described.vocabulary.extended(captions, min_count=recipe.data.min_count)
        torch.manual_seed(recipe.training.seed)
        captioner = build_captioner(recipe, vocabulary)
        captioner.load_state_dict(extend_rows(captioner.state_dict(), old.state_dict()))
        # What holds for the parent holds for what is made of it.
        licence = " ".join(note for note in (described.licence, recipe.data.licence) if note)
        lineage = {"parent": described.name, "parent_weights_sha256": described.weights_sha256}
    captioner.encoder.eval().requires_grad_(False)
    return captioner, vocabulary, licence, lineage | {"base_encoder_sha256": weights_hash(captioner.encoder)}


def extend_rows(new: dict[str, Tensor], old: dict[str, Tensor]) -> dict[str, Tensor]:
    """Old values where there are some; the rows of new words keep those they have."""
    merged = {}
    for key, value in new.items():
        merged[key] = value.clone()
        merged[key][tuple(slice(size) for size in old[key].shape)] = old[key]
    return merged


def _refuse_other_network(recipe: Recipe, old: Recipe, base: Path) -> None:
    new_sizes = dataclasses.replace(recipe.decoder, dropout=old.decoder.dropout)
    if new_sizes != old.decoder or recipe.encoder.name != old.encoder.name:
        raise TrainingError(
            f'checkpoint "{base}" has another network than the recipe; '
            "leave [encoder] and [decoder] as the checkpoint has them"
        )


def _photos(
    data: CaptionData, captioner: Captioner, recipe: Recipe, *, cache: Path, progress: bool
) -> tuple[_Photos, _Photos]:
    validation = data.validation_split()
    hashes = {split: content_hashes(data.split(split)) for split in ("train", validation)}
    refuse_same_bytes(hashes)
    frozen, _ = captioner.encoder.split(recipe.encoder.trained_blocks)
    device = next(captioner.parameters()).device

    def photos(split: str, mirrored: Sequence[bool]) -> _Photos:
        variants = [
            cached_features(
                frozen,
                data.split(split),
                hashes[split],
                preprocessing=preprocessing_of(recipe),
                folder=cache,
                device=device,
                flipped=flipped,
                progress=progress,
            )
            for flipped in mirrored
        ]
        return _Photos(split=split, examples=data.split(split), hashes=hashes[split], variants=variants)

    return photos("train", [False, True] if recipe.data.flip else [False]), photos(validation, [False])


def _tokenized(examples: Sequence[Example], recipe: Recipe) -> list[list[list[str]]]:
    tokenize = TOKENIZERS[recipe.data.tokenizer]
    return [[tokenize(caption) for caption in example.captions] for example in examples]


def _portable(recipe: Recipe) -> Recipe:
    """The recipe without the folder that its weights file happened to lie in."""
    weights = _file_name(recipe.encoder.weights)
    return dataclasses.replace(recipe, encoder=dataclasses.replace(recipe.encoder, weights=weights))


def _file_name(weights: str) -> str:
    return Path(weights).name
