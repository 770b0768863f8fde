"""What an update minimises: word by word at first, then by the scores of whole captions."""

import torch
from torch import Tensor

from model.batches import TrainingSet
from model.captioner import TrainedPart
from model.description import Description
from model.devices import training_precision
from model.losses import Loss, last_only, random_prefixes, token_loss
from model.self_critical import SelfCritic


class Objective:
    """The losses of both stages, of feature maps (B, C, h, w) and tokens (B, K, T): sums, and of how many."""

    def __init__(self, description: Description, training_set: TrainingSet) -> None:
        self._config = description.recipe.training
        self._critic = (
            SelfCritic(
                references=training_set.tokens,
                vocabulary=description.vocabulary,
                samples=self._config.self_critical_samples,
                bleu=self._config.self_critical_bleu,
                max_length=description.recipe.search.max_length,
            )
            if self._config.self_critical_epochs
            else None
        )

    def forced(self, part: TrainedPart, maps: Tensor, tokens: Tensor) -> Loss:
        """Teacher forcing: of every token, or of the one behind a prefix drawn at random."""
        last_token = self._config.objective == "last_token"
        with training_precision(maps.device, self._config.precision):
            logits, targets = part.teach(maps, random_prefixes(tokens) if last_token else tokens)
        return token_loss(
            logits,
            last_only(targets) if last_token else targets,
            label_smoothing=self._config.label_smoothing,
        )

    def critical(self, part: TrainedPart, maps: Tensor, tokens: Tensor) -> Loss:
        """Self-critical training; the loss of features that are no numbers is none either."""
        assert self._critic
        with training_precision(maps.device, self._config.precision):
            grid = part.grid(maps)
            if not grid.isfinite().all():  # Nothing can be drawn from such odds.
                return torch.full((), torch.nan, device=maps.device, requires_grad=True), tokens.new_ones(())
            return self._critic.loss(part.decoder, grid, tokens)
