"""What training starts from: a fresh captioner, or a checkpoint with the new words added."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.captioner import Captioner, build_captioner, decoder_sizes
from model.checkpoint import load_checkpoint
from model.config import Recipe
from model.encoder import load_base_weights
from model.errors import RecipeError, TrainingError
from model.features import weights_hash
from model.tokenizer import TOKENIZERS
from model.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class StartingPoint:
    """A captioner whose encoder is frozen, its words, and what is to be said of where it comes from."""

    captioner: Captioner
    vocabulary: Vocabulary
    licence: str
    lineage: dict[str, Any]


def starting_point(recipe: Recipe, captions: Sequence[Sequence[str]], base: Path | None) -> StartingPoint:
    """What the recipe says, with the words of these captions; from a checkpoint folder if there is a base.

    Raises RecipeError, CheckpointError, and TrainingError for a base with another network.
    """
    start = _fresh(recipe, captions) if base is None else _from_checkpoint(recipe, captions, base)
    start.captioner.encoder.eval().requires_grad_(False)
    start.lineage["base_encoder_sha256"] = weights_hash(start.captioner.encoder)
    return start


def extend_rows(new: dict[str, Tensor], old: dict[str, Tensor]) -> dict[str, Tensor]:
    """Old values where there are some; the rows of new words keep what they have, as do new parts."""
    merged = {}
    for key, value in new.items():
        merged[key] = value.clone()
        if key in old:
            merged[key][tuple(slice(size) for size in old[key].shape)] = old[key]
    return merged


def portable(recipe: Recipe) -> Recipe:
    """The recipe without the folders that its files happened to lie in."""
    return dataclasses.replace(
        recipe,
        encoder=dataclasses.replace(recipe.encoder, weights=Path(recipe.encoder.weights).name),
        data=dataclasses.replace(recipe.data, word_list=Path(recipe.data.word_list).name),
    )


def _fresh(recipe: Recipe, captions: Sequence[Sequence[str]]) -> StartingPoint:
    vocabulary = Vocabulary.build(captions, min_count=recipe.data.min_count, always=_listed_words(recipe))
    torch.manual_seed(recipe.training.seed)
    captioner = build_captioner(recipe, vocabulary)
    load_base_weights(captioner.encoder, name=recipe.encoder.name, weights=recipe.encoder.weights)
    return StartingPoint(
        captioner=captioner,
        vocabulary=vocabulary,
        licence=recipe.data.licence,
        lineage={"base_weights": Path(recipe.encoder.weights).name},
    )


def _from_checkpoint(recipe: Recipe, captions: Sequence[Sequence[str]], base: Path) -> StartingPoint:
    old, described = load_checkpoint(base)
    _refuse_other_network(recipe, described.recipe, base)
    vocabulary = described.vocabulary.extended(
        captions, min_count=recipe.data.min_count, always=_listed_words(recipe)
    )
    torch.manual_seed(recipe.training.seed)
    captioner = build_captioner(recipe, vocabulary)
    captioner.load_state_dict(extend_rows(captioner.state_dict(), old.state_dict()))
    return StartingPoint(
        captioner=captioner,
        vocabulary=vocabulary,
        licence=_both(described.licence, recipe.data.licence),
        lineage={"parent": described.name, "parent_weights_sha256": described.weights_sha256},
    )


def _both(parent: str, own: str) -> str:
    """What holds for the parent holds for what is made of it; the same is said once."""
    return parent if own in parent else f"{parent} {own}".strip()


def _listed_words(recipe: Recipe) -> set[str]:
    name = recipe.data.word_list
    if not name:
        return set()
    try:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f'data.word_list names "{name}", which cannot be read ({error}); pass a text file, a word a line'
        ) from error
    tokenize = TOKENIZERS[recipe.data.tokenizer]
    return {word for line in lines for word in tokenize(line)}


def _refuse_other_network(recipe: Recipe, old: Recipe, base: Path) -> None:
    wanted, there = _network(recipe), _network(old)
    differ = [key for key in wanted | there if wanted.get(key) != there.get(key)]
    if differ:
        pairs = ", ".join(f"{key}={there.get(key)}" for key in differ)
        raise TrainingError(
            f'checkpoint "{base}" has another network than the recipe: {pairs}; '
            "set these as the checkpoint has them, or train without --from"
        )


def _network(recipe: Recipe) -> dict[str, object]:
    """The keys that decide which weights there are."""
    sizes = {f"decoder.{key}": value for key, value in decoder_sizes(recipe.decoder).items()}
    sizes.pop("decoder.dropout")
    return {
        "encoder.name": recipe.encoder.name,
        "encoder.grid_size": recipe.encoder.grid_size,
        "decoder.name": recipe.decoder.name,
        **sizes,
    }
