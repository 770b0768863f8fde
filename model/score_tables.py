"""Scores as tables for people to read."""

from collections.abc import Mapping, Sequence

from model.bootstrap import Difference
from model.comparison import Comparison, RecipeScores, System
from model.evaluation import Evaluation
from model.metrics import SCORES

COMPARED = ("cider", "bleu4")
COMPARED_WIDTH = 33
HASH_DIGITS = 12
LABEL_DIGITS = 8


def evaluation_table(result: Evaluation) -> str:
    """What was scored and how, then the scores, the bounds of their 95 % intervals, and people."""
    rows = [("captions", result.scores), *_interval(result)]
    if result.human:
        rows.append(("people", result.human))
    lines = [*_head(result), f"{'':<11}" + _names()]
    lines += [f"{name:<11}" + _values(scores) for name, scores in rows]
    if certainty := result.certainty:
        lines.append(
            f"CIDEr of the most certain tenth {certainty.most_certain_cider:.4f}, of the least certain tenth "
            f"{certainty.least_certain_cider:.4f}; calibration error {certainty.calibration_error:.4f}"
        )
    return "\n".join(lines)


def comparison_table(comparison: Comparison) -> str:
    """The systems, a row each, with differences to the first one; then their recipes, a row each."""
    systems = [comparison.first, *(other for other, _ in comparison.others)]
    differences = [None, *(found for _, found in comparison.others)]
    width = max(12, *(len(_label(system)) for system in systems)) + 2
    lines = [*_head(comparison.first.evaluation), "", f"{'':<{width}}beam" + _names() + _compared_names()]
    for system, found in zip(systems, differences, strict=True):
        beam = system.evaluation.beam_size or "-"
        scores = _values(system.evaluation.scores)
        lines.append(f"{_label(system):<{width}}{beam:>4}" + scores + _compared(found))
        lines += [
            f"{'  ' + name:<{width}}{'':>4}" + _values(row) for name, row in _interval(system.evaluation)
        ]
    if human := comparison.first.evaluation.human:
        lines.append(f"{'people':<{width}}{'-':>4}" + _values(human))
    return "\n".join([*lines, *_recipe_lines(comparison.recipes)])


def _interval(result: Evaluation) -> list[tuple[str, dict[str, float]]]:
    """The bounds of the 95 % intervals, as two rows of scores."""
    return [
        (f"95 % {bound}", {name: bounds[i] for name, bounds in result.intervals.items()})
        for i, bound in enumerate(("low", "high"))
    ]


def _recipe_lines(recipes: Sequence[RecipeScores]) -> list[str]:
    if not recipes:
        return []
    width = max(len(recipe.name) for recipe in recipes) + 2
    lines = [
        "",
        "recipes, named after their first checkpoint: mean over seeds, and standard deviation below it",
        f"{'':<{width}}seeds" + _names() + _compared_names(),
    ]
    for recipe in recipes:
        means = _values(recipe.mean) + _compared(recipe.difference)
        lines.append(f"{recipe.name:<{width}}{recipe.seeds:>5}" + means)
        if recipe.sd:
            lines.append(f"{'':<{width}}{'':>5}" + _values(recipe.sd))
    return [*lines, *(f"{recipe.name}: {recipe.note}" for recipe in recipes if recipe.note)]


def _label(system: System) -> str:
    weights = system.evaluation.weights_sha256
    return f"{system.name} {weights[:LABEL_DIGITS]}" if weights else system.name


def _head(result: Evaluation) -> list[str]:
    first = f"{result.n} photos of {result.split}, {result.references} references, {result.tokenizer} tokens"
    if result.beam_size:
        first += f", beam {result.beam_size}, framing {result.framing}"
    second = f"scorer {result.scorer}, data {result.data_sha256[:HASH_DIGITS]}"
    if result.checkpoint is not None and result.weights_sha256:
        second += f", checkpoint {result.checkpoint}, weights {result.weights_sha256[:HASH_DIGITS]}"
    return [first, second]


def _names() -> str:
    return "".join(f"{name:>9}" for name in SCORES)


def _values(scores: Mapping[str, float]) -> str:
    return "".join(f"{scores[name]:>9.4f}" for name in SCORES)


def _compared_names() -> str:
    return "".join(f"  {name + ' against the first, p':<{COMPARED_WIDTH}}" for name in COMPARED).rstrip()


def _compared(differences: Mapping[str, Difference] | None) -> str:
    if differences is None:
        return ""
    return "".join(f"  {_difference(differences[name]):<{COMPARED_WIDTH}}" for name in COMPARED).rstrip()


def _difference(found: Difference) -> str:
    return f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}] {found.p:.3f}"
