"""How fast the network learns in each update of a run."""

import math

from model.config import TrainingConfig


def forced_rates(config: TrainingConfig, update: int, updates: int) -> tuple[float, float]:
    """Those of decoder and encoder in one of so many updates of teacher forcing, counted from 0."""
    warmup = min(1.0, (update + 1) / max(1, round(config.warmup * updates)))
    share = warmup * _share(config, update, updates)
    return config.learning_rate * share, config.encoder_learning_rate * share


def self_critical_rates(config: TrainingConfig, update: int, updates: int) -> tuple[float, float]:
    """Those of decoder and encoder in one of so many self-critical updates, counted from 0.

    They need no warm-up: the stage goes on from weights that are good already.
    """
    share = _share(config, update, updates)
    return config.self_critical_learning_rate * share, config.self_critical_encoder_learning_rate * share


def _share(config: TrainingConfig, update: int, updates: int) -> float:
    """What the schedule leaves of a rate."""
    return 0.5 * (1 + math.cos(math.pi * update / updates)) if config.schedule == "cosine" else 1.0
