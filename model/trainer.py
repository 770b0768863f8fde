"""Training of a decoder, and of the last blocks of its encoder, over cached features."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from model.captioner import Captioner, TrainedPart
from model.config import Recipe, TrainingConfig
from model.devices import training_precision
from model.errors import TrainingError
from model.evaluation import caption_features
from model.metrics import cider
from model.self_critical import SelfCritic
from model.tokenizer import ptb_words
from model.training_state import TrainingState, load_state, save_state
from model.vocabulary import PAD, Vocabulary

WARMUP = 0.02


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Feature maps (n, h, w, C) of all photos, once a variant (plain, mirrored); captions as token ids."""

    variants: Sequence[np.ndarray]
    tokens: Sequence[Sequence[Sequence[int]]]

    def batches(self, *, batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch in the order of its seed: feature maps (B, C, h, w) and tokens (B, K, T)."""
        random = np.random.default_rng(seed)
        order = random.permutation(len(self.tokens))
        choice = random.integers(len(self.variants), size=len(order))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            maps = torch.from_numpy(np.stack([self.variants[choice[row]][row] for row in rows]))
            yield maps.float().permute(0, 3, 1, 2), pad_captions([self.tokens[row] for row in rows])

    def steps(self, batch_size: int) -> int:
        """Batches an epoch."""
        return math.ceil(len(self.tokens) / batch_size)


def pad_captions(captions: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    """Token ids of B images with up to K captions each -> (B, K, T), filled up with `<pad>`."""
    width = max(len(group) for group in captions)
    length = max(len(ids) for group in captions for ids in group)
    padded = torch.full((len(captions), width, length), PAD)
    for image, group in enumerate(captions):
        for row, ids in enumerate(group):
            padded[image, row, : len(ids)] = torch.tensor(ids)
    return padded


def caption_loss(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Cross entropy of logits (B, K, T, V) against the next tokens (B, K, T), `<pad>` not counted."""
    return F.cross_entropy(
        logits.flatten(0, 2).float(), targets.flatten(), ignore_index=PAD, label_smoothing=label_smoothing
    )


class Trainer:
    """Trains a captioner epoch by epoch; each can be repeated from the state before it."""

    def __init__(
        self, *, captioner: Captioner, vocabulary: Vocabulary, recipe: Recipe, training_set: TrainingSet
    ) -> None:
        self.config: TrainingConfig = recipe.training
        self.recipe = recipe
        self.vocabulary = vocabulary
        self.training_set = training_set
        self.part = captioner.trained_part(recipe.encoder.trained_blocks)
        self.device = next(self.part.parameters()).device
        self.average = AveragedModel(self.part, avg_fn=_moving_average(self.config.ema_decay))
        groups = [
            {"params": list(self.part.decoder.parameters()), "peak": self.config.learning_rate},
            {"params": list(self.part.head.parameters()), "peak": self.config.encoder_learning_rate},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=self.config.weight_decay)
        self.epoch = 0
        self.best = -1.0
        self.epochs = self.config.epochs + self.config.self_critical_epochs
        self._steps = training_set.steps(self.config.batch_size)
        self._critic = self._make_critic() if self.config.self_critical_epochs else None

    def train_epoch(self, *, progress: bool = False) -> float:
        """One pass over the photos; returns the mean loss, raises TrainingError when that is no number."""
        critical = self.epoch >= self.config.epochs
        seed = self.config.seed * 1_000_003 + self.epoch
        torch.manual_seed(seed)
        # Captions are sampled, and their likelihood taken, from the network without dropout.
        self.part.train(not critical)
        self.part.head.requires_grad_(self.config.frozen_epochs <= self.epoch and not critical)
        losses = []
        batches = self.training_set.batches(batch_size=self.config.batch_size, seed=seed)
        bar = tqdm(
            batches,
            total=self._steps,
            desc=f"epoch {self.epoch + 1}",
            unit="batch",
            disable=not progress,
            leave=False,
        )
        for step, (maps, tokens) in enumerate(bar):
            self._set_learning_rate(self.epoch * self._steps + step, critical)
            loss = self._step(maps.to(self.device), tokens.to(self.device), critical)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss} in epoch {self.epoch + 1}, batch {step + 1}; the state after "
                    f"epoch {self.epoch} is kept; train again with a lower training.learning_rate"
                )
            losses.append(loss)
        self.epoch += 1
        return sum(losses) / len(losses)

    def validate(self, features: np.ndarray, references: Sequence[Sequence[str]]) -> float:
        """CIDEr-D of greedy captions of the averaged weights."""
        captions = caption_features(
            self.averaged().eval(),
            features,
            vocabulary=self.vocabulary,
            text=self.recipe.text,
            device=self.device,
            beam_size=1,
            max_length=self.recipe.search.max_length,
            length_penalty=self.recipe.search.length_penalty,
        )
        tokenized = [[ptb_words(reference) for reference in group] for group in references]
        return cider([ptb_words(caption) for caption in captions], tokenized)

    def averaged(self) -> TrainedPart:
        """The moving average of what is trained: what a checkpoint keeps."""
        return cast(TrainedPart, self.average.module)

    def save(self, path: Path) -> None:
        """Write everything that `load` needs to go on after this epoch."""
        state = TrainingState(self.epoch, self.best, self.part, self.average, self.optimizer, self.recipe)
        save_state(path, state)

    def load(self, path: Path) -> None:
        """Go on from a saved epoch; raises TrainingError for another recipe's state."""
        state = TrainingState(self.epoch, self.best, self.part, self.average, self.optimizer, self.recipe)
        self.epoch, self.best = load_state(path, state)

    def _step(self, maps: Tensor, tokens: Tensor, critical: bool) -> float:
        loss = self._self_critical_loss(maps, tokens) if critical else self._forced_loss(maps, tokens)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.part.parameters(), self.config.clip_norm)
        self.optimizer.step()
        self.average.update_parameters(self.part)
        return loss.item()

    def _make_critic(self) -> SelfCritic:
        return SelfCritic(
            references=self.training_set.tokens,
            vocabulary=self.vocabulary,
            samples=self.config.self_critical_samples,
            max_length=self.recipe.search.max_length,
        )

    def _forced_loss(self, maps: Tensor, tokens: Tensor) -> Tensor:
        with training_precision(self.device, self.config.precision):
            logits = self.part(maps, tokens[:, :, :-1])
        return caption_loss(logits, tokens[:, :, 1:], label_smoothing=self.config.label_smoothing)

    def _self_critical_loss(self, maps: Tensor, tokens: Tensor) -> Tensor:
        assert self._critic
        with torch.no_grad():
            grid = self.part.grid(maps)
        with training_precision(self.device, self.config.precision):
            return self._critic.loss(self.part.decoder, grid, tokens)

    def _set_learning_rate(self, step: int, critical: bool) -> None:
        total = max(1, self.config.epochs * self._steps)
        warmup = max(1, round(WARMUP * total))
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))
        for group in self.optimizer.param_groups:
            forced = group["peak"] * min(1.0, (step + 1) / warmup) * cosine
            group["lr"] = self.config.self_critical_learning_rate if critical else forced


def _moving_average(decay: float) -> Callable[[Tensor, Tensor, Any], Tensor]:
    def average(mean: Tensor, new: Tensor, updates: Any) -> Tensor:
        # The first steps count for little: without this the random start would stay in the mean for epochs.
        return mean.lerp(new, float(1 - min(decay, (1 + updates) / (10 + updates))))

    return average
