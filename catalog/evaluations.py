"""Evaluations: what checkpoints scored on frozen sets, and how two of them compare on the same photos."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from catalog import dataset_languages
from catalog.datasets import visible as visible
from catalog.schema import (
    Checkpoint,
    Comparison,
    Dataset,
    DatasetImage,
    DatasetKind,
    Evaluation,
    Split,
    User,
    utc_now,
)


@dataclass(frozen=True)
class SetToMeasure:
    """One split of a frozen dataset on which checkpoints are scored."""

    dataset: Dataset
    split: Split


@dataclass(frozen=True)
class Measured:
    """What a checkpoint scored on a split of a dataset."""

    evaluation: Evaluation
    dataset: Dataset


@dataclass(frozen=True)
class Compared:
    """A comparison with the dataset that it was made on."""

    comparison: Comparison
    dataset: Dataset


@dataclass(frozen=True)
class Row:
    """One set that all the checkpoints were scored on, with what each of them scored, in their order."""

    dataset: Dataset
    split: Split
    evaluations: tuple[Evaluation, ...]


def sets_to_measure(
    session: Session, dataset: Dataset | None, *, language: str | None = None
) -> list[SetToMeasure]:
    """The held-out split of the dataset that was trained on, then the newest version of every golden set.

    Golden sets with references in other languages than the given one are left out.
    """
    golden = [one for one in golden_datasets(session) if dataset_languages.are_all(one, language)]
    sets = [SetToMeasure(one, Split.GOLDEN) for one in golden]
    if dataset is not None and _holds(session, dataset, Split.TEST):
        return [SetToMeasure(dataset, Split.TEST), *sets]
    return sets


def golden_datasets(session: Session) -> Sequence[Dataset]:
    """The newest version of every frozen golden set, newest first."""
    latest = (
        select(func.max(Dataset.id))
        .where(Dataset.kind == DatasetKind.GOLDEN, Dataset.images > 0)
        .group_by(Dataset.name)
    )
    return session.scalars(select(Dataset).where(Dataset.id.in_(latest)).order_by(Dataset.id.desc())).all()


def record(
    session: Session,
    *,
    checkpoint_id: int,
    measured_on: SetToMeasure,
    job_id: int | None,
    result: dict[str, Any],
    predictions_sha256: str,
) -> str | None:
    """Keep what a checkpoint scored, in the place of what it scored there before.

    Returns the key of the predictions that nothing needs any more, None where there are none.
    """
    _hold(session, measured_on)
    here = (
        Evaluation.checkpoint_id == checkpoint_id,
        Evaluation.dataset_id == measured_on.dataset.id,
        Evaluation.split == measured_on.split,
    )
    found = session.scalar(select(Evaluation).where(*here))
    row = found or Evaluation(
        checkpoint_id=checkpoint_id, dataset_id=measured_on.dataset.id, split=measured_on.split
    )
    replaced = found.predictions_sha256 if found else None
    row.job_id, row.result, row.predictions_sha256 = job_id, result, predictions_sha256
    row.created_at = utc_now()
    session.add(row)
    session.flush()
    return replaced if replaced != predictions_sha256 else None


def record_comparison(
    session: Session,
    *,
    candidate_id: int,
    against_id: int,
    measured_on: SetToMeasure,
    job_id: int | None,
    result: dict[str, Any],
) -> Comparison:
    """Keep how two checkpoints compare on a set, and count the look at it.

    Comparing the same two there again is no new look: it says what it said before. A golden set is looked at
    with each of its versions, and with each set that shares photos with it. All their rows are locked, so
    that two looks never get one number.
    """
    dataset_id = measured_on.dataset.id
    looked_at = _hold_with_kin(session, measured_on)
    here = (Comparison.dataset_id == dataset_id, Comparison.split == measured_on.split)
    pair = (Comparison.candidate_id == candidate_id, Comparison.against_id == against_id)
    row = session.scalar(select(Comparison).where(*here, *pair))
    if row is None:
        count = select(func.count()).select_from(Comparison)
        looks = session.scalar(
            count.where(Comparison.dataset_id.in_(looked_at), Comparison.split == measured_on.split)
        )
        row = Comparison(
            dataset_id=dataset_id,
            split=measured_on.split,
            candidate_id=candidate_id,
            against_id=against_id,
            look=(looks or 0) + 1,
        )
    row.job_id, row.result, row.created_at = job_id, result, utc_now()
    session.add(row)
    session.flush()
    return row


def predictions_of(session: Session, checkpoint: Checkpoint, measured_on: SetToMeasure) -> str | None:
    """The blob of what a checkpoint wrote on a set; None where it was not measured there."""
    return session.scalar(
        select(Evaluation.predictions_sha256).where(
            Evaluation.checkpoint_id == checkpoint.id,
            Evaluation.dataset_id == measured_on.dataset.id,
            Evaluation.split == measured_on.split,
        )
    )


def of_checkpoint(session: Session, checkpoint: Checkpoint, *, viewer: User | None) -> list[Measured]:
    """What a checkpoint scored on the sets that the viewer may see, newest set first."""
    rows = session.execute(
        select(Evaluation, Dataset)
        .join(Dataset, Dataset.id == Evaluation.dataset_id)
        .where(Evaluation.checkpoint_id == checkpoint.id, visible(viewer))
        .order_by(Dataset.id.desc(), Evaluation.split)
    )
    return [Measured(evaluation, dataset) for evaluation, dataset in rows]


def side_by_side(session: Session, checkpoints: Sequence[Checkpoint], *, viewer: User | None) -> list[Row]:
    """The scores of several checkpoints on the sets that all of them were scored on, newest set first."""
    ids = [checkpoint.id for checkpoint in checkpoints]
    rows = session.execute(
        select(Evaluation, Dataset)
        .join(Dataset, Dataset.id == Evaluation.dataset_id)
        .where(Evaluation.checkpoint_id.in_(ids), visible(viewer))
        .order_by(Dataset.id.desc(), Evaluation.split)
    )
    sets: dict[tuple[int, Split], tuple[Dataset, dict[int, Evaluation]]] = {}
    for evaluation, dataset in rows:
        _, found = sets.setdefault((dataset.id, evaluation.split), (dataset, {}))
        found[evaluation.checkpoint_id] = evaluation
    return [
        Row(dataset, split, tuple(found[id] for id in ids))
        for (_, split), (dataset, found) in sets.items()
        if all(id in found for id in ids)
    ]


def comparisons(
    session: Session, candidate: Checkpoint, against: Checkpoint, *, viewer: User | None
) -> list[Compared]:
    """How two checkpoints compare on the sets that the viewer may see, newest set first."""
    rows = session.execute(
        select(Comparison, Dataset)
        .join(Dataset, Dataset.id == Comparison.dataset_id)
        .where(
            Comparison.candidate_id == candidate.id,
            Comparison.against_id == against.id,
            visible(viewer),
        )
        .order_by(Dataset.id.desc(), Comparison.split)
    )
    return [Compared(comparison, dataset) for comparison, dataset in rows]


def _hold(session: Session, measured_on: SetToMeasure) -> None:
    """Hold off everybody else who keeps what was measured on this set, until the transaction ends."""
    row = select(Dataset.id).where(Dataset.id == measured_on.dataset.id)
    session.execute(row.with_for_update(key_share=True))


def _hold_with_kin(session: Session, measured_on: SetToMeasure) -> Sequence[int]:
    """The same for all golden sets that show photos of this one; the ids of all of them, in their order."""
    dataset, held = measured_on.dataset, Dataset.id == measured_on.dataset.id
    if measured_on.split is Split.GOLDEN:
        photos = select(DatasetImage.image_id).where(DatasetImage.dataset_id == dataset.id)
        sharing = select(DatasetImage.dataset_id).where(DatasetImage.image_id.in_(photos))
        kin = Dataset.id.in_(sharing.where(DatasetImage.split == Split.GOLDEN))
        is_golden = Dataset.kind == DatasetKind.GOLDEN
        held = or_(held, and_(is_golden, or_(Dataset.name == dataset.name, kin)))
    rows = select(Dataset.id).where(held).order_by(Dataset.id)
    return session.scalars(rows.with_for_update(key_share=True)).all()


def _holds(session: Session, dataset: Dataset, split: Split) -> bool:
    image = select(DatasetImage.image_id).where(
        DatasetImage.dataset_id == dataset.id, DatasetImage.split == split
    )
    return session.scalar(image.limit(1)) is not None
