"""How fast the network learns in each update of a run."""

import math

from model.config import TrainingConfig


def forced_rates(config: TrainingConfig, update: int, updates: int) -> tuple[float, float]:
    """Those of decoder and encoder in one of so many updates of teacher forcing, counted from 0."""
    warmup = min(1.0, (update + 1) / max(1, round(config.warmup * updates)))
    decay = 0.5 * (1 + math.cos(math.pi * update / updates)) if config.schedule == "cosine" else 1.0
    return config.learning_rate * warmup * decay, config.encoder_learning_rate * warmup * decay


def self_critical_rates(config: TrainingConfig) -> tuple[float, float]:
    """Those of decoder and encoder in a self-critical update."""
    return config.self_critical_learning_rate, config.self_critical_encoder_learning_rate
