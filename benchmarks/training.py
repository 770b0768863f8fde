"""What an epoch costs beside the network that learns: reading cached features, batches, averages."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import interleaved
from benchmarks.rows import Row
from model.batches import TrainingSet
from model.captioner import build_captioner
from model.config import override
from model.description import Description, read_description, starter_folder
from model.devices import pick_device
from model.feature_rows import FeatureRows
from model.losses import token_loss
from model.trainer import Trainer
from model.vocabulary import END, START

PHOTOS = 512
CAPTIONS = 5
WORDS = 11  # of a caption; those of Flickr8k have as many on average
BATCH_SIZE = 64


def measure(*, device: str, repeats: int) -> list[Row]:
    """An epoch of the shipped decoder on features from disk, against its updates on batches in memory."""
    with TemporaryDirectory(prefix="recaption-benchmark-") as folder:
        trainer, training_set = _training(Path(folder), device)
        batches = list(training_set.batches(batch_size=BATCH_SIZE, seed=1))
        contestants: dict[str, interleaved.Contestant] = {
            "epoch": trainer.train_epoch,
            "decoder": lambda: _updates(trainer, batches),
        }
        taken = interleaved.seconds(contestants, repeats=repeats)
    return [
        Row.of(
            "training epoch on cached features / decoder alone on features in memory",
            taken,
            "epoch",
            "decoder",
            photos=PHOTOS,
            at_most=1.1,
        )
    ]


def _training(folder: Path, device: str) -> tuple[Trainer, TrainingSet]:
    shipped = read_description(starter_folder())
    changes = [
        "encoder.trained_blocks=0",
        "data.crop=1",
        "training.epochs=1000",
        "training.precision=float32",
    ]
    changes += [f"training.batch_size={BATCH_SIZE}", "training.self_critical_epochs=0"]
    recipe = override(shipped.recipe, changes)
    torch.manual_seed(1)
    captioner = build_captioner(recipe, shipped.vocabulary).to(pick_device(device))
    description = Description(
        name="benchmark", recipe=recipe, vocabulary=shipped.vocabulary, preprocessing=shipped.preprocessing
    )
    random = np.random.default_rng(1)
    side = shipped.preprocessing.size // 32
    shape = (side, side, captioner.encoder.feature_size)
    rows = FeatureRows(folder, "benchmark", shape)
    names = [str(number) for number in range(PHOTOS)]
    with rows.adding(names):
        rows.append(
            names, random.random((PHOTOS, *shape), dtype=np.float32).astype(np.float16), waiting=PHOTOS
        )
    words = random.integers(4, len(shipped.vocabulary), (PHOTOS, CAPTIONS, WORDS))
    tokens = [[[START, *caption, END] for caption in photo.tolist()] for photo in words]
    features = rows.select(names)
    if features is None:
        raise RuntimeError(f"the features that were just written into {folder} are gone")
    training_set = TrainingSet(variants=[features], tokens=tokens)
    trainer = Trainer(captioner=captioner, description=description, training_set=training_set)
    return trainer, training_set


def _updates(trainer: Trainer, batches: list[tuple[Tensor, Tensor]]) -> None:
    """Forward, backward and step for each batch, and nothing else."""
    trainer.part.train()
    for maps, tokens in batches:
        trainer.optimizer.zero_grad()
        logits, targets = trainer.part.teach(maps.to(trainer.device), tokens.to(trainer.device))
        total, count = token_loss(logits, targets, label_smoothing=trainer.config.label_smoothing)
        (total / count).backward()
        nn.utils.clip_grad_norm_(trainer.part.parameters(), trainer.config.clip_norm)
        trainer.optimizer.step()
