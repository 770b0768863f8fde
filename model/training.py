"""`recaption train`: from a folder of captioned photos to a checkpoint."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model.batches import FeatureMaps, Mirrored, TrainingSet
from model.captioner import Captioner, preprocessing_of
from model.config import Recipe
from model.data import CaptionData, Example, content_hashes, data_hash, read_data, refuse_same_bytes
from model.description import Description, read_description
from model.devices import pick_device
from model.distributed import Ranks, joined
from model.errors import TrainingError
from model.feature_rows import CachedFeatures
from model.feature_trimming import trim
from model.features import cached_features
from model.starting_point import StartingPoint, portable, starting_point
from model.tokenizer import TOKENIZERS
from model.trainer import Trainer
from model.training_lock import alone_in
from model.training_log import require_tensorboard
from model.training_progress import Watched
from model.training_run import TrainingRun
from model.validation import Validation


@dataclass(frozen=True, kw_only=True)
class _Photos:
    """A split with the hash of each photo and the features of each variant of it."""

    split: str
    examples: Sequence[Example]
    hashes: Sequence[str]
    variants: Sequence[FeatureMaps]


def train(
    recipe: Recipe,
    *,
    source: Path,
    output: Path,
    name: str,
    base: Path | None = None,
    resume: bool = False,
    cache: Path | None = None,
    cache_bytes: int | None = None,
    device: str = "auto",
    progress: bool = False,
    report: Callable[[str], None] = print,
    stopping: Callable[[], bool] = lambda: False,
) -> Description:
    """Train on the split "train"; keep the epoch with the best CIDEr-D on the validation split, describe it.

    `base` is a checkpoint to start from; its vocabulary is extended. State, log and progress lie in
    `output`/training, features in `cache`, of which `cache_bytes` are kept. Under torchrun, all its processes
    train one network. Once `stopping` says so, the state is saved and TrainingStopped raised. Raises
    DataError, RecipeError, CheckpointError and TrainingError.
    """
    # Tiny gradients become denormal numbers, on which a CPU is many times slower. Threads take the setting
    # from the one that starts them, so it comes before the first tensor.
    torch.set_flush_denormal(True)
    if recipe.training.epochs + recipe.training.self_critical_epochs == 0:
        raise TrainingError("training.epochs and training.self_critical_epochs are both 0; set one of them")
    on = pick_device(device)
    if recipe.training.tensorboard:
        require_tensorboard()
    with joined(on) as ranks, ExitStack() as held:
        progress = progress and ranks.first
        report = report if ranks.first else _say_nothing
        if ranks.first:
            held.enter_context(alone_in(output / "training"))
        watched = Watched(folder=output / "training", stopping=stopping, first=ranks.first)
        data = read_data(source)
        words = _tokenized(data.split("train"), recipe)
        start = starting_point(recipe, [caption for group in words for caption in group], base)
        start.captioner.to(on)
        with ranks.first_goes_first():
            training, validation = _photos(
                data,
                start.captioner,
                recipe,
                cache=cache or output / "training",
                cache_bytes=cache_bytes,
                progress=progress,
                watched=watched,
            )
        description = _describe(name, recipe, start, training, data.about)
        trainer = _trainer(description, start, training, words, ranks)
        run = TrainingRun(
            trainer=trainer,
            captioner=start.captioner,
            description=description,
            validation=_validation(description, validation, on),
            output=output,
            watched=watched,
            bar=progress,
            report=report,
        )
        together = f", {ranks.world} processes" if ranks.world > 1 else ""
        report(f"{len(training.examples)} photos, {len(start.vocabulary)} words{together}")
        if resume:
            run.resume()
        run.go()
        with ranks.first_goes_first():
            return read_description(output)


def _say_nothing(line: str) -> None:
    pass


def _describe(
    name: str, recipe: Recipe, start: StartingPoint, training: _Photos, about: Mapping[str, Any]
) -> Description:
    sources = Counter(example.source for example in training.examples if example.source)
    return Description(
        name=name,
        recipe=portable(recipe),
        vocabulary=start.vocabulary,
        preprocessing=preprocessing_of(recipe),
        lineage={
            **start.lineage,
            **({"data": dict(about)} if about else {}),
            **({"training_sources": dict(sorted(sources.items()))} if sources else {}),
            "training_photos": len(training.examples),
            "training_data_sha256": data_hash(training.examples, training.hashes),
        },
        licence=start.licence,
    )


def _trainer(
    description: Description,
    start: StartingPoint,
    training: _Photos,
    words: Sequence[Sequence[list[str]]],
    ranks: Ranks,
) -> Trainer:
    recipe = description.recipe
    tokens = [
        [start.vocabulary.encode(caption, max_length=recipe.data.max_length) for caption in group]
        for group in words
    ]
    training_set = TrainingSet(
        variants=training.variants,
        tokens=tokens,
        batch_of=recipe.training.batch_of,
        crop=recipe.data.crop,
    )
    return Trainer(
        captioner=start.captioner,
        description=description,
        training_set=training_set,
        ranks=ranks,
    )


def _validation(description: Description, photos: _Photos, device: torch.device) -> Validation:
    return Validation(
        split=photos.split,
        examples=photos.examples,
        features=photos.variants[0],
        recipe=description.recipe,
        vocabulary=description.vocabulary,
        preprocessing=description.preprocessing,
        device=device,
    )


def _photos(
    data: CaptionData,
    captioner: Captioner,
    recipe: Recipe,
    *,
    cache: Path,
    cache_bytes: int | None,
    progress: bool,
    watched: Watched,
) -> tuple[_Photos, _Photos]:
    validation = data.validation_split()
    # Splits that are not trained on count as well: a photo of the test split must not be learned from.
    hashes = {split: content_hashes(examples) for split, examples in data.splits.items()}
    refuse_same_bytes(hashes)
    cached = captioner.cached_part(recipe)
    device = next(captioner.parameters()).device

    def after_batch(done: int, total: int) -> None:
        watched.say("features", done=done, total=total)
        watched.stop_if_told()

    def features(split: str, *, flipped: bool) -> CachedFeatures:
        return cached_features(
            cached,
            data.split(split),
            hashes[split],
            preprocessing=preprocessing_of(recipe),
            folder=cache,
            device=device,
            flipped=flipped,
            progress=progress,
            after_batch=after_batch,
        )

    def photos(split: str, variants: Sequence[FeatureMaps]) -> _Photos:
        return _Photos(split=split, examples=data.split(split), hashes=hashes[split], variants=variants)

    def of_both() -> tuple[_Photos, _Photos]:
        variants: list[FeatureMaps] = [features("train", flipped=False)]
        if recipe.data.flip:
            variants.append(features("train", flipped=True) if len(cached) else Mirrored(variants[0]))
        return photos("train", variants), photos(validation, [features(validation, flipped=False)])

    both = of_both()
    if cache_bytes is not None and watched.first and trim(cache, cache_bytes, _needed(both)):
        # What was removed takes its room until nobody has it mapped any more.
        both = of_both()
    return both


def _needed(photos: Sequence[_Photos]) -> dict[Path, set[str]]:
    """The photos whose features a run reads, by the folder that holds these."""
    needed: dict[Path, set[str]] = {}
    for one in photos:
        for maps in one.variants:
            if isinstance(maps, CachedFeatures):
                needed.setdefault(maps.folder, set()).update(one.hashes)
    return needed


def _tokenized(examples: Sequence[Example], recipe: Recipe) -> list[list[list[str]]]:
    tokenize = TOKENIZERS[recipe.data.tokenizer]
    return [[tokenize(caption) for caption in example.captions] for example in examples]
