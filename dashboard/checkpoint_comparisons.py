"""One checkpoint beside another one: scores on the same photos, regressions, what promoting would change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from catalog import evaluations, gate, impacts, regressions
from catalog.errors import DamagedManifest, MissingBlob
from catalog.impacts import Seen
from catalog.regressions import Regression
from catalog.schema import Checkpoint, CheckpointState, Comparison, Dataset, Evaluation, Split
from catalog.verdicts import Verdict
from dashboard.security import viewer
from dashboard.services import services


@dataclass(frozen=True)
class Scored:
    """What both scored on one set; `comparison` is there once they were compared photo by photo."""

    dataset: Dataset
    split: Split
    evaluation: Evaluation
    other: Evaluation
    comparison: Comparison | None

    @property
    def origins(self) -> Mapping[str, int]:
        """Where the references come from, in counts."""
        found: Mapping[str, int] = self.evaluation.result.get("origins", {})
        return found


@dataclass(frozen=True)
class Beside:
    """All that is known of a checkpoint beside another one.

    The gate judges beside the active one alone. `damage` says why regressions cannot be read.
    """

    other: Checkpoint
    verdict: Verdict | None
    scored: Sequence[Scored]
    judged: Scored | None
    worst: Sequence[Regression]
    impacts: Sequence[Seen]
    damage: str


def beside(session: Session, checkpoint: Checkpoint, other: Checkpoint) -> Beside:
    """The checkpoint as a candidate for the place of the other one."""
    scored = _scored(session, checkpoint, other)
    judged = next((one for one in scored if one.comparison and one.split is Split.GOLDEN), None)
    worst, damage = _worst(session, judged or next((one for one in scored if one.comparison), None))
    return Beside(
        other=other,
        verdict=gate.verdict(session, checkpoint, other, viewer=viewer()) if _is_active(other) else None,
        scored=scored,
        judged=judged,
        worst=worst,
        impacts=impacts.of_pair(session, checkpoint, other, viewer=viewer()),
        damage=damage,
    )


def _is_active(checkpoint: Checkpoint) -> bool:
    return checkpoint.state is CheckpointState.ACTIVE


def _scored(session: Session, checkpoint: Checkpoint, other: Checkpoint) -> list[Scored]:
    compared = {
        (one.comparison.dataset_id, one.comparison.split): one.comparison
        for one in evaluations.comparisons(session, checkpoint, other, viewer=viewer())
    }
    return [
        Scored(
            dataset=row.dataset,
            split=row.split,
            evaluation=row.evaluations[0],
            other=row.evaluations[1],
            comparison=compared.get((row.dataset.id, row.split)),
        )
        for row in evaluations.side_by_side(session, [checkpoint, other], viewer=viewer())
    ]


def _worst(session: Session, judged: Scored | None) -> tuple[Sequence[Regression], str]:
    """The photos on which the checkpoint falls furthest behind, and why they cannot be told."""
    if judged is None or judged.comparison is None:
        return (), ""
    try:
        return regressions.worst(session, services().blobs, judged.comparison, viewer=viewer()), ""
    except (MissingBlob, DamagedManifest) as error:
        return (), str(error)
