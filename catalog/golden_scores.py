"""How checkpoints score on golden sets: photos that people captioned without seeing model text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog import evaluations
from catalog.schema import Dataset, DatasetKind, Evaluation, Split, User


@dataclass(frozen=True)
class Score:
    """CIDEr, with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class GoldenScores:
    """Scores by the id of the checkpoint, all on one golden set; without any there is none."""

    golden: Dataset | None
    scores: Mapping[int, Score]


def golden_scores(session: Session, checkpoint_ids: Sequence[int], viewer: User | None) -> GoldenScores:
    """The scores on the golden set that knows most of the checkpoints, the newest of several.

    Scores on different photos say nothing of each other, so that one set has to do.
    """
    rows = session.execute(
        select(Evaluation.checkpoint_id, Evaluation.result, Dataset)
        .join(Dataset, Dataset.id == Evaluation.dataset_id)
        .where(
            Evaluation.checkpoint_id.in_(checkpoint_ids),
            Evaluation.split == Split.GOLDEN,
            Dataset.kind == DatasetKind.GOLDEN,
            evaluations.visible(viewer),
        )
    )
    sets: dict[int, tuple[Dataset, dict[int, Score]]] = {}
    for checkpoint_id, result, dataset in rows:
        sets.setdefault(dataset.id, (dataset, {}))[1][checkpoint_id] = cider(result)
    if not sets:
        return GoldenScores(None, {})
    return GoldenScores(*sets[max(sets, key=lambda number: (len(sets[number][1]), number))])


def cider(result: Mapping[str, Any]) -> Score:
    """The CIDEr of an evaluation's result."""
    low, high = result["intervals"]["cider"]
    return Score(value=result["scores"]["cider"], low=low, high=high)
