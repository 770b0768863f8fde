"""`recaption train`: from a folder of captioned photos to a checkpoint."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.captioner import Captioner, build_captioner, preprocessing_of
from model.checkpoint import load_checkpoint, save_checkpoint
from model.config import EncoderConfig, Recipe
from model.data import CaptionData, Example, content_hashes, data_hash, read_data, refuse_same_bytes
from model.description import Description
from model.devices import pick_device
from model.encoder import freeze, load_base_weights
from model.errors import TrainingError
from model.features import cached_features, weights_hash
from model.tokenizer import TOKENIZERS
from model.trainer import Trainer, TrainingSet
from model.vocabulary import Vocabulary

STATE_FILE = "training/state.safetensors"


@dataclass(frozen=True, kw_only=True)
class _Photos:
    """A split with the hash of each photo and the features of each variant of it."""

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

    `base` is a checkpoint to start from: its encoder is used as it is, its vocabulary is extended. The state
    after each epoch lies in `output`/training. Raises DataError, CheckpointError and TrainingError.
    """
    data = read_data(source)
    words = _tokenized(data.split("train"), recipe)
    captioner, vocabulary, lineage = _starting_point(recipe, words, base)
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
    )
    trainer = Trainer(
        captioner=captioner, vocabulary=vocabulary, recipe=description.recipe, training_set=training_set
    )
    if resume:
        trainer.load(output / STATE_FILE)
    report(f"{len(training.examples)} photos, {len(vocabulary)} words, {recipe.training.epochs} epochs")
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
    while trainer.epoch < trainer.config.epochs:
        started = time.monotonic()
        loss = trainer.train_epoch(progress=progress)
        score = trainer.validate(validation.variants[0], references)
        seconds = time.monotonic() - started
        report(f"epoch {trainer.epoch}: loss {loss:.4f}, validation CIDEr {score:.4f}, {seconds:.0f} s")
        if score > trainer.best:
            trainer.best = score
            scores = {"validation": {"epoch": trainer.epoch, "beam_size": 1, "cider": round(score, 4)}}
            weights = _weights(captioner, trainer.average.module)
            description = save_checkpoint(output, weights, dataclasses.replace(description, scores=scores))
        trainer.save(output / STATE_FILE)
    return description


def _starting_point(
    recipe: Recipe, words: Sequence[Sequence[list[str]]], base: Path | None
) -> tuple[Captioner, Vocabulary, dict[str, Any]]:
    captions = [caption for group in words for caption in group]
    if base is None:
        vocabulary = Vocabulary.build(captions, min_count=recipe.data.min_count)
        torch.manual_seed(recipe.training.seed)
        captioner = build_captioner(recipe, vocabulary)
        load_base_weights(captioner.encoder, name=recipe.encoder.name, weights=recipe.encoder.weights)
        lineage: dict[str, Any] = {"base_weights": _file_name(recipe.encoder.weights)}
    else:
        old, described = load_checkpoint(base)
        _refuse_other_network(recipe, described.recipe, base)
        vocabulary = described.vocabulary.extended(captions, min_count=recipe.data.min_count)
        torch.manual_seed(recipe.training.seed)
        captioner = build_captioner(recipe, vocabulary)
        captioner.load_state_dict(extend_rows(captioner.state_dict(), old.state_dict()))
        lineage = {"parent": described.name, "parent_weights_sha256": described.weights_sha256}
    freeze(captioner.encoder)
    return captioner, vocabulary, lineage | {"encoder_sha256": weights_hash(captioner.encoder)}


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
    splits = {"train": data.split("train"), "validation": data.validation()}
    hashes = {split: content_hashes(examples) for split, examples in splits.items()}
    refuse_same_bytes(hashes)

    def photos(split: str, mirrored: Sequence[bool]) -> _Photos:
        variants = [
            cached_features(
                captioner.encoder,
                splits[split],
                hashes[split],
                preprocessing=preprocessing_of(recipe),
                folder=cache,
                flipped=flipped,
                progress=progress,
            )
            for flipped in mirrored
        ]
        return _Photos(examples=splits[split], hashes=hashes[split], variants=variants)

    return photos("train", [False, True] if recipe.data.flip else [False]), photos("validation", [False])


def _tokenized(examples: Sequence[Example], recipe: Recipe) -> list[list[list[str]]]:
    tokenize = TOKENIZERS[recipe.data.tokenizer]
    return [[tokenize(caption) for caption in example.captions] for example in examples]


def _weights(captioner: Captioner, decoder: nn.Module) -> dict[str, Tensor]:
    parts = {"encoder": captioner.encoder, "decoder": decoder}
    return {f"{part}.{name}": value for part, m in parts.items() for name, value in m.state_dict().items()}


def _portable(recipe: Recipe) -> Recipe:
    """The recipe without the folder that its weights file happened to lie in."""
    weights = _file_name(recipe.encoder.weights)
    return dataclasses.replace(recipe, encoder=EncoderConfig(name=recipe.encoder.name, weights=weights))


def _file_name(weights: str) -> str:
    return Path(weights).name
