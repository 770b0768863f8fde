"""Checkpoints as lists show them: the active one first, with scores, origin, and what people found wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from catalog import checkpoints, evaluations, reasons
from catalog.golden_scores import GoldenScores, Score, golden_scores
from catalog.pages import PAGE_SIZE, Listing
from catalog.reasons import Counted
from catalog.schema import Checkpoint, CheckpointState, Dataset, Job, TrainingRun
from dashboard.security import viewer


@dataclass(frozen=True)
class Shown:
    """A checkpoint with its scores, what they were measured on, where it is from, and what was corrected.

    `golden` is what it scored on the golden set of that name.
    """

    checkpoint: Checkpoint
    counted: Counted
    scores: Mapping[str, float]
    conditions: Mapping[str, str]
    words: int
    golden: Score | None
    golden_name: str
    origin: str

    @property
    def active(self) -> bool:
        return self.checkpoint.state is CheckpointState.ACTIVE


def listed(session: Session, *, after: int | None = None, limit: int = PAGE_SIZE) -> Listing[Shown]:
    """The active checkpoint, then the others, newest first."""
    found = reasons.per_checkpoint(session, viewer(), after=after, limit=limit)
    others = [one for one in found.rows if one.checkpoint.state is not CheckpointState.ACTIVE]
    active = reasons.of_active(session, viewer()) if after is None else None
    rows = _shown(session, [*([active] if active else []), *others])
    return Listing(rows=rows, after=found.after)


def shown(session: Session, checkpoint: Checkpoint) -> Shown:
    (one,) = _shown(session, [reasons.of_checkpoint(session, viewer(), checkpoint)])
    return one


def _shown(session: Session, counted: Sequence[Counted]) -> list[Shown]:
    ids = [one.checkpoint.id for one in counted]
    scores, origins = golden_scores(session, ids, viewer()), _origins(session, ids)
    return [_one(one, scores, origins) for one in counted]


def _one(counted: Counted, golden: GoldenScores, origins: Mapping[int, str]) -> Shown:
    checkpoint = counted.checkpoint
    measured = checkpoint.description.get("scores", {})
    scores = measured.get("scores", measured)
    came = (
        "came with Recaption" if checkpoint.name.startswith(checkpoints.SHIPPED) else "was trained elsewhere"
    )
    return Shown(
        checkpoint=checkpoint,
        counted=counted,
        scores={name: value for name, value in scores.items() if isinstance(value, float)},
        conditions=_conditions(measured),
        words=len(checkpoint.description.get("vocabulary", ())),
        golden=golden.scores.get(checkpoint.id),
        golden_name=f"{golden.golden.name}@{golden.golden.version}" if golden.golden else "",
        origin=origins.get(checkpoint.id, came),
    )


def _conditions(measured: Mapping[str, Any]) -> dict[str, str]:
    told = {name: value for name, value in measured.items() if isinstance(value, str | int)}
    return {name.replace("_", " "): str(value) for name, value in told.items()}


def _origins(session: Session, checkpoint_ids: Sequence[int]) -> dict[int, str]:
    """How checkpoints that were trained here came to be, in words, by id."""
    base = aliased(Checkpoint)
    rows = session.execute(
        select(TrainingRun.checkpoint_id, base.name, Dataset, evaluations.visible(viewer()))
        .join(Job, Job.id == TrainingRun.job_id)
        .join(Dataset, Dataset.id == TrainingRun.dataset_id)
        .outerjoin(base, base.id == Job.checkpoint_id)
        .where(TrainingRun.checkpoint_id.in_(checkpoint_ids))
    )
    return {number or 0: _origin(name, dataset if seen else None) for number, name, dataset, seen in rows}


def _origin(base: str | None, dataset: Dataset | None) -> str:
    learnt = f"{dataset.name}@{dataset.version}" if dataset else "a dataset that you may not see"
    return f"learnt from {learnt}, {f'going on from {base}' if base else 'from scratch'}"
