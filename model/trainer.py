"""Training of a decoder, and of the last blocks of its encoder, over cached features."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from model.batches import TrainingSet
from model.captioner import Captioner, TrainedPart
from model.config import TrainingConfig
from model.description import Description
from model.distributed import Ranks
from model.errors import TrainingError
from model.expected_words import ExpectedWords
from model.objective import Objective
from model.schedule import forced_rates, self_critical_rates
from model.training_state import Progress, TrainingState, load_state, save_state

AfterUpdate = Callable[[float], None]


class Trainer:
    """Trains a captioner epoch by epoch; a run can be stopped after any update and gone on with.

    Whatever is random in an update follows from the seed and the update's number, so that a run which was
    killed and resumed ends with the very same weights.
    """

    def __init__(
        self,
        *,
        captioner: Captioner,
        description: Description,
        training_set: TrainingSet,
        ranks: Ranks = Ranks(),  # noqa: B008 (it is frozen)
    ) -> None:
        recipe = description.recipe
        self.config: TrainingConfig = recipe.training
        self.ranks = ranks
        self._forced_set = training_set
        # A sampled caption is compared with all references of its image.
        self._critical_set = replace(training_set, batch_of="images")
        self.part = captioner.trained_part(recipe)
        self.device = next(self.part.parameters()).device
        average = AveragedModel(self.part, multi_avg_fn=_moving_average(self.config.ema_decay))
        # On a GPU, this lays the weights of a copied LSTM out in one piece again.
        self.average = average.to(self.device)
        groups = [
            {"params": list(self.part.decoder.parameters())},
            {"params": list(self.part.learning_blocks.parameters())},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=self.config.weight_decay)
        self.progress = Progress(critical_from=self.config.epochs)
        self._state = TrainingState(self.part, self.average, self.optimizer, description)
        self._objective = Objective(description, training_set)

    @property
    def critical(self) -> bool:
        """Whether the next epoch is self-critical."""
        return self.progress.epoch >= self.progress.critical_from

    @property
    def finished(self) -> bool:
        """Whether no epoch is left."""
        last = self.progress.critical_from + self.config.self_critical_epochs
        return self.progress.ended or self.progress.epoch >= last

    @property
    def steps(self) -> int:
        """Updates an epoch, in the stage that the run has come to."""
        return self._training_set.steps(self.config.batch_size)

    @property
    def _encoder_learns(self) -> bool:
        if self.critical:
            return self.config.self_critical_encoder_learning_rate > 0
        return self.progress.epoch >= self.config.frozen_epochs

    @property
    def _training_set(self) -> TrainingSet:
        return self._critical_set if self.critical else self._forced_set

    def train_epoch(self, *, bar: bool = False, after_update: AfterUpdate = lambda loss: None) -> float:
        """What is left of an epoch; returns its mean loss, raises TrainingError when a loss is no number.

        `after_update` gets the loss of each update, when the state may be saved.
        """
        progress, config = self.progress, self.config
        self.part.learning_blocks.requires_grad_(self._encoder_learns)
        # Captions are sampled, and their likelihood taken, from the network without dropout.
        self.part.train(not self.critical)
        batches = tqdm(
            self._batches(),
            total=self.steps,
            initial=progress.step,
            desc=f"epoch {progress.epoch + 1}",
            unit="batch",
            disable=not bar,
            leave=False,
        )
        for maps, tokens in batches:
            torch.manual_seed(_seed(config.seed, progress.epoch, progress.step, self.ranks.rank))
            self._set_rates()
            loss = self._update(maps.to(self.device), tokens.to(self.device))
            progress.step += 1
            progress.updates += 1
            progress.loss_sum += loss
            batches.set_postfix(loss=f"{loss:.3f}", refresh=False)
            after_update(loss)
        mean = progress.loss_sum / self.steps
        progress.epoch, progress.step, progress.loss_sum = progress.epoch + 1, 0, 0.0
        return mean

    def judge(self, score: float) -> bool:
        """Take the epoch's validation score; returns whether it is the best so far.

        A stage that has run out of patience ends here.
        """
        progress = self.progress
        better = score > progress.best
        if better:
            progress.best, progress.best_epoch = score, progress.epoch
        was_critical = progress.epoch > progress.critical_from
        waited = progress.epoch - max(progress.best_epoch, progress.critical_from if was_critical else 0)
        if self.config.patience and waited >= self.config.patience:
            progress.ended = was_critical or not self.config.self_critical_epochs
            if not was_critical:
                progress.critical_from = progress.epoch
        return better

    @torch.no_grad()
    def teach_words(self, words: ExpectedWords, part: TrainedPart) -> None:
        """Fit the words to expect to what `part` sees of the training photos, whole and as they are."""
        means = [grid.float().mean(dim=1) for grid in part.grids(self._forced_set.variants[0])]
        words.fit(torch.cat(means), self._forced_set.tokens)

    def averaged(self) -> TrainedPart:
        """The moving average of what is trained: what a checkpoint keeps."""
        return cast(TrainedPart, self.average.module).eval()

    def learning_rates(self) -> dict[str, float]:
        """The rates of the last update."""
        return dict(zip(("decoder", "encoder"), self.progress.rates, strict=True))

    def save(self, path: Path) -> None:
        """Write everything that `load` needs to go on from here."""
        save_state(path, self._state, self.progress)

    def load(self, path: Path) -> None:
        """Go on from a saved state; raises TrainingError for another recipe's state."""
        self.progress = load_state(path, self._state)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self._training_set.batches(
            batch_size=self.config.batch_size,
            seed=_seed(self.config.seed, self.progress.epoch),
            skip=self.progress.step,
            rank=self.ranks.rank,
            world=self.ranks.world,
        )

    def _update(self, maps: Tensor, tokens: Tensor) -> float:
        """One step along the gradient of the batch, of which this process has these rows (B, ...)."""
        self.optimizer.zero_grad()
        total = torch.zeros(2, device=self.device)
        if len(tokens):
            parts = self.config.accumulation
            loss_of = self._objective.critical if self.critical else self._objective.forced
            for some_maps, some_tokens in zip(maps.chunk(parts), tokens.chunk(parts), strict=True):
                # cuDNN's LSTM has no gradients in evaluation mode; torch's own has.
                with torch.backends.cudnn.flags(enabled=not self.critical):
                    loss, count = loss_of(self.part, some_maps, some_tokens)
                    loss.backward()
                total += torch.stack([loss.detach(), count.to(loss.dtype)])
        gradients = self._gradients()
        self.ranks.add_up([*gradients, total])
        for gradient in gradients:
            gradient.div_(total[1])
        norm = nn.utils.clip_grad_norm_(self.part.parameters(), self.config.clip_norm or math.inf)
        mean = (total[0] / total[1]).item()
        self._refuse_no_number(mean, norm.item())
        self.optimizer.step()
        self._share_statistics()
        self.average.update_parameters(self.part)
        return mean

    def _gradients(self) -> list[Tensor]:
        """All gradients; zeros where this process had no photo to learn from."""
        learning = [weight for weight in self.part.parameters() if weight.requires_grad]
        if self.ranks.world > 1:
            for weight in learning:
                weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
        return [weight.grad for weight in learning if weight.grad is not None]

    def _share_statistics(self) -> None:
        """The statistics of the decoder's BatchNorm are those of all processes' photos."""
        statistics = [value for value in self.part.decoder.buffers() if value.is_floating_point()]
        if statistics and self.ranks.world > 1:
            self.ranks.add_up(statistics)
            for value in statistics:
                value.div_(self.ranks.world)

    def _refuse_no_number(self, loss: float, norm: float) -> None:
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingError(
                f"the loss became {loss}, its gradient's norm {norm}, in epoch {self.progress.epoch + 1}, "
                f"batch {self.progress.step + 1}; the state last saved is kept, and so is the checkpoint; "
                "train again with a lower training.learning_rate"
            )

    def _set_rates(self) -> None:
        progress, config = self.progress, self.config
        if self.critical:
            update = (progress.epoch - progress.critical_from) * self.steps + progress.step
            rates = self_critical_rates(config, update, config.self_critical_epochs * self.steps)
        else:
            rates = forced_rates(config, progress.updates, config.epochs * self.steps)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.progress.rates = rates


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _moving_average(decay: float) -> Callable[..., None]:
    def average(means: list[Tensor], new: list[Tensor], updates: Tensor) -> None:
        count = float(updates)
        # The first steps count for little: without this the random start would stay in the mean for epochs.
        weight = 1 - min(decay, (1 + count) / (10 + count))
        for mean, value in zip(means, new, strict=True):
            mean.lerp_(value, weight)

    return average
