"""Retraining: the recipe by which a checkpoint goes on with corrected captions, made of its own.

What it knows is to stay: the encoder is frozen, and the decoder learns for a few epochs. What photos look
like to a frozen encoder is computed once, which makes minutes of what took hours.
"""

from model.config import Recipe, override
from model.description import Description

# What few photos bear, each with its reason; docs/training-log.md has the measurements.
CHANGES = (
    "encoder.trained_blocks=0",  # frozen, so that features are cached
    "data.crop=1.0",  # whole photos, for windows of them would be other features every epoch
    'data.word_list=""',  # a file of whoever trained the base, which is not here
    "data.min_count=2",  # a word that was corrected twice is learnt; once may be a slip
    "training.epochs=8",
    "training.patience=3",  # epochs that validate no better
    "training.batch_size=32",
    "training.learning_rate=1e-3",  # at 3e-4 a few hundred corrections leave no trace
    "training.frozen_epochs=0",  # of an encoder that learns later, which this one never does
    "training.self_critical_epochs=0",  # rewards by n-grams want more references than corrections give
    "training.averaged_epochs=0",
)


def retraining_recipe(base: Description) -> Recipe:
    """The recipe of a checkpoint, changed for going on from it."""
    return override(base.recipe, CHANGES)
