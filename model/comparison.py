"""Several systems on the same photos, each against the first; and recipes over their seeds."""

import dataclasses
import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.bootstrap import Difference, paired_differences, seed_differences
from model.data import Example
from model.description import Description
from model.evaluation import Captions, Evaluation, Evaluator, predict_captions, read_captions
from model.metrics import cider_of_each, corpus_scores, named
from model.predictor import Predictor

MIN_SEEDS = 3


@dataclass(frozen=True, kw_only=True)
class System:
    """What wrote captions, how they score, and what each of them adds to the scores: statistics (B, 12).

    `description` is None for captions that no checkpoint wrote.
    """

    name: str
    captions: Captions
    evaluation: Evaluation
    statistics: np.ndarray
    description: Description | None = None


@dataclass(frozen=True, kw_only=True)
class RecipeScores:
    """The scores of one recipe over its seeds, and by how much its means lie above those of the first recipe.

    `sd` is the sample's standard deviation, None for one alone. `note` says why a difference proves little.
    """

    name: str
    checkpoints: tuple[str, ...]
    seeds: int
    mean: dict[str, float]
    sd: dict[str, float] | None
    difference: dict[str, Difference] | None
    note: str | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Every system but the first with its differences to the first, and the recipes of all of them."""

    first: System
    others: tuple[tuple[System, dict[str, Difference]], ...]
    recipes: tuple[RecipeScores, ...]


def checkpoint_system(
    folder: Path,
    examples: Sequence[Example],
    evaluator: Evaluator,
    *,
    device: str,
    beam_size: int | None,
    framing: str | None,
    progress: bool,
    precision: str = "float32",
) -> System:
    """Caption the photos with a checkpoint and score that; beam size and framing are its own unless given."""
    predictor = Predictor.load(
        folder, device=device, beam_size=beam_size, framing=framing, precision=precision
    )
    captions = predict_captions(predictor, examples, progress=progress)
    statistics = evaluator.statistics(captions)
    description = predictor.description
    return System(
        name=description.name,
        captions=captions,
        evaluation=evaluator.evaluation(
            captions,
            statistics,
            beam_size=predictor.beam_size,
            framing=description.preprocessing.framing,
            description=description,
        ),
        statistics=statistics,
        description=description,
    )


def file_system(path: Path, examples: Sequence[Example], evaluator: Evaluator) -> System:
    """Score the captions of a file."""
    captions = read_captions(path, examples)
    statistics = evaluator.statistics(captions)
    return System(
        name=path.name,
        captions=captions,
        evaluation=evaluator.evaluation(captions, statistics, beam_size=None, framing=None),
        statistics=statistics,
    )


def compare(systems: Sequence[System]) -> Comparison:
    """Compare systems that captioned the same photos, two or more, each with the first."""
    first, *others = systems
    return Comparison(
        first=first,
        others=tuple((other, paired_differences(first.statistics, other.statistics)) for other in others),
        recipes=_recipes(systems),
    )


def write_details(path: Path, examples: Sequence[Example], systems: Sequence[System]) -> None:
    """A line of JSON a photo: what each system wrote and what CIDEr-D that has, by the system's name.

    The document frequencies are those of all references, so that a photo scores the same whatever became of
    the others.
    """
    names = [_name_among(system, systems) for system in systems]
    ciders = [cider_of_each(system.statistics) for system in systems]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row, example in enumerate(examples):
            texts = [system.captions.texts[row] for system in systems]
            detail = {
                "image": example.path.name,
                "captions": dict(zip(names, texts, strict=True)),
                "cider": {name: float(found[row]) for name, found in zip(names, ciders, strict=True)},
            }
            file.write(json.dumps(detail, ensure_ascii=False) + "\n")


def comparison_to_dict(comparison: Comparison) -> dict[str, Any]:
    """Plain values, ready for JSON: what there is of the first evaluation, then `against` and `recipes`."""
    return {
        **dataclasses.asdict(comparison.first.evaluation),
        "against": [
            {
                **dataclasses.asdict(other.evaluation),
                "difference": {name: dataclasses.asdict(value) for name, value in differences.items()},
            }
            for other, differences in comparison.others
        ],
        "recipes": [dataclasses.asdict(recipe) for recipe in comparison.recipes],
    }


def _name_among(system: System, systems: Sequence[System]) -> str:
    """A system's name, with its place behind it where another one has the same."""
    if sum(other.name == system.name for other in systems) == 1:
        return system.name
    place = next(place for place, other in enumerate(systems, start=1) if other is system)
    return f"{system.name} ({place})"


def _recipes(systems: Sequence[System]) -> tuple[RecipeScores, ...]:
    groups: dict[Hashable, list[System]] = {}
    for system in systems:
        if system.description:
            groups.setdefault(_all_but_the_seed(system.description), []).append(system)
    if not groups:
        return ()
    first, *others = map(_distinct, groups.values())
    return (_recipe_scores(first, None), *(_recipe_scores(group, first) for group in others))


def _all_but_the_seed(description: Description) -> Hashable:
    """What two checkpoints share that are seeds of one recipe: also the data and the base they come from."""
    recipe, lineage = description.recipe, description.lineage
    return (
        dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, seed=0)),
        lineage.get("training_data_sha256"),
        lineage.get("parent_weights_sha256"),
    )


def _distinct(group: Sequence[System]) -> list[System]:
    """Each checkpoint once: one that was named twice is no second seed."""
    return list({system.evaluation.weights_sha256: system for system in reversed(group)}.values())[::-1]


def _recipe_scores(group: Sequence[System], first: Sequence[System] | None) -> RecipeScores:
    scores = np.stack([corpus_scores(system.statistics) for system in group])
    fewest = min(_seeds(group), _seeds(first)) if first else MIN_SEEDS
    return RecipeScores(
        name=group[0].name,
        checkpoints=tuple(system.name for system in group),
        seeds=_seeds(group),
        mean=named(scores.mean(axis=0)),
        sd=named(scores.std(axis=0, ddof=1)) if len(group) > 1 else None,
        difference=seed_differences(
            [system.statistics for system in first], [system.statistics for system in group]
        )
        if first
        else None,
        note=None
        if fewest >= MIN_SEEDS
        else f"two recipes are compared over at least three seeds each; one of these has {fewest}",
    )


def _seeds(group: Sequence[System]) -> int:
    return len({system.description.recipe.training.seed for system in group if system.description})
