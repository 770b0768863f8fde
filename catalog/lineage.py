"""Lineage both ways: from a caption to what taught its writer, and from a photo to who learned of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from catalog import datasets, manifests
from catalog.blobs import BlobStore
from catalog.checkpoints import SHIPPED
from catalog.schema import (
    Caption,
    Checkpoint,
    Dataset,
    DatasetImage,
    Job,
    Split,
    TrainingRun,
    User,
)

LISTED = 50  # checkpoints or datasets
GENERATIONS = 50


@dataclass(frozen=True)
class CaptionLineage:
    """Who wrote a caption, and what taught it; then the datasets that hold its item, and whom they taught.

    `job` and `checkpoint` are None for captions that no checkpoint of ours wrote, `dataset` for one that was
    not trained here, or that the viewer may not see.
    """

    job: Job | None
    checkpoint: Checkpoint | None
    run: TrainingRun | None
    dataset: Dataset | None
    frozen_in: Sequence[Dataset]
    taught: Sequence[Checkpoint]


@dataclass(frozen=True)
class CheckpointLineage:
    """Where a checkpoint comes from and what came of it.

    `parents` begin with the one that it was trained from. `origins` counts the captions that it was trained
    on by their origin. `captions` counts those that it wrote and that still stand. `children` were trained
    from it.
    """

    parents: Sequence[Checkpoint]
    run: TrainingRun | None
    dataset: Dataset | None
    origins: dict[str, int]
    captions: int
    children: Sequence[Checkpoint]


def of_caption(session: Session, caption: Caption, *, viewer: User | None) -> CaptionLineage:
    """Where a caption comes from, and where it went."""
    checkpoint = session.get(Checkpoint, caption.checkpoint_id) if caption.checkpoint_id else None
    run = run_of(session, checkpoint) if checkpoint else None
    frozen_in = _frozen_in(session, caption.item_id, viewer)
    return CaptionLineage(
        job=session.get(Job, caption.job_id) if caption.job_id else None,
        checkpoint=checkpoint,
        run=run,
        dataset=_seen(session, run, viewer),
        frozen_in=frozen_in,
        taught=_trained_on(session, [dataset.id for dataset in frozen_in]),
    )


def of_checkpoint(
    session: Session, blobs: BlobStore, checkpoint: Checkpoint, *, viewer: User | None
) -> CheckpointLineage:
    """Where a checkpoint comes from, and what came of it. Raises MissingBlob and DamagedManifest."""
    run = run_of(session, checkpoint)
    dataset = _seen(session, run, viewer)
    written = select(func.count()).where(Caption.checkpoint_id == checkpoint.id)
    return CheckpointLineage(
        parents=parents(session, checkpoint),
        run=run,
        dataset=dataset,
        origins=_origins(blobs, dataset) if dataset else {},
        captions=session.scalar(written) or 0,
        children=_children(session, checkpoint),
    )


def of_dataset(session: Session, dataset: Dataset) -> Sequence[Checkpoint]:
    """The checkpoints that were trained on a dataset, newest first."""
    return _trained_on(session, [dataset.id])


def run_of(session: Session, checkpoint: Checkpoint) -> TrainingRun | None:
    """The run that trained a checkpoint; None for one that came from elsewhere."""
    trained = select(TrainingRun).where(
        TrainingRun.checkpoint_id == checkpoint.id, TrainingRun.dataset_id.is_not(None)
    )
    return session.scalar(trained.order_by(TrainingRun.job_id).limit(1))


def dataset_of(session: Session, checkpoint: Checkpoint) -> Dataset | None:
    """The dataset that a checkpoint was trained on; None for one that was not trained here."""
    run = run_of(session, checkpoint)
    return session.get(Dataset, run.dataset_id) if run and run.dataset_id else None


def parents(session: Session, checkpoint: Checkpoint) -> list[Checkpoint]:
    """What a checkpoint was trained from, what that was trained from, and so on."""
    bases = _bases(session)
    line = [checkpoint.id]
    while len(line) <= GENERATIONS:
        newest = line[-1]
        parent = bases[newest] if newest in bases else min(_named_parents(session, [newest]), default=None)
        if parent is None or parent in line:
            break
        line.append(parent)
    found = {one.id: one for one in session.scalars(select(Checkpoint).where(Checkpoint.id.in_(line[1:])))}
    return [found[id] for id in line[1:]]


def datasets_behind(session: Session, checkpoint: Checkpoint) -> Sequence[int]:
    """The datasets that a checkpoint, or any that it comes from, was trained on."""
    behind = _behind(session, checkpoint, _bases(session))
    runs = select(TrainingRun.dataset_id).where(
        TrainingRun.checkpoint_id.in_(behind), TrainingRun.dataset_id.is_not(None)
    )
    return [dataset_id for dataset_id in session.scalars(runs.distinct()) if dataset_id is not None]


def from_elsewhere(session: Session, checkpoint: Checkpoint) -> Sequence[str]:
    """The names of those of which nobody here knows what they were trained on: this one, or any behind it.

    What comes with Recaption was trained on photos that are known, and none of this installation.
    """
    bases = _bases(session)
    behind = select(Checkpoint).where(Checkpoint.id.in_(_behind(session, checkpoint, bases)))
    found = session.scalars(behind.order_by(Checkpoint.id.desc())).all()
    known = {one.weights_sha256 for one in found if one.id in bases or one.name.startswith(SHIPPED)}
    return [one.name for one in found if one.weights_sha256 not in known]


def _behind(session: Session, checkpoint: Checkpoint, bases: Mapping[int, int | None]) -> set[int]:
    """A checkpoint, what it comes from, and so on.

    Also those with the same weights: a copy that was downloaded, renamed and added learned as much.
    """
    generation, behind = {checkpoint.id}, set[int]()
    while generation:
        weights = select(Checkpoint.weights_sha256).where(Checkpoint.id.in_(generation))
        generation = set(session.scalars(select(Checkpoint.id).where(Checkpoint.weights_sha256.in_(weights))))
        behind |= generation
        trained = {base for one in generation if (base := bases.get(one)) is not None}
        named = _named_parents(session, [one for one in generation if one not in bases])
        generation = (trained | named) - behind
    return behind


def _bases(session: Session) -> dict[int, int | None]:
    """What each checkpoint that was trained here was trained from; None for one from scratch."""
    rows = session.execute(
        select(TrainingRun.checkpoint_id, Job.checkpoint_id)
        .join(Job, Job.id == TrainingRun.job_id)
        .where(TrainingRun.checkpoint_id.is_not(None), TrainingRun.dataset_id.is_not(None))
    )
    return {checkpoint_id: base_id for checkpoint_id, base_id in rows if checkpoint_id is not None}


def _named_parents(session: Session, checkpoint_ids: Sequence[int]) -> set[int]:
    """The parents of checkpoints that were trained elsewhere: each names the weights that it started from."""
    if not checkpoint_ids:
        return set()
    weights = Checkpoint.description["lineage"]["parent_weights_sha256"].as_string()
    named = session.scalars(select(weights).where(Checkpoint.id.in_(checkpoint_ids))).all()
    same = select(Checkpoint.id).where(Checkpoint.weights_sha256.in_([one for one in named if one]))
    return set(session.scalars(same))


def _children(session: Session, checkpoint: Checkpoint) -> Sequence[Checkpoint]:
    runs = (
        select(TrainingRun.checkpoint_id)
        .join(Job, Job.id == TrainingRun.job_id)
        .where(Job.checkpoint_id == checkpoint.id, TrainingRun.dataset_id.is_not(None))
    )
    return _newest(session, Checkpoint.id.in_(runs))


def _trained_on(session: Session, dataset_ids: Sequence[int]) -> Sequence[Checkpoint]:
    runs = select(TrainingRun.checkpoint_id).where(TrainingRun.dataset_id.in_(dataset_ids))
    return _newest(session, Checkpoint.id.in_(runs))


def _newest(session: Session, condition: ColumnElement[bool]) -> Sequence[Checkpoint]:
    query = select(Checkpoint).where(condition).order_by(Checkpoint.id.desc()).limit(LISTED)
    return session.scalars(query).all()


def _frozen_in(session: Session, item_id: int, viewer: User | None) -> Sequence[Dataset]:
    """The datasets that hold an item, newest first."""
    holding = select(DatasetImage.dataset_id).where(DatasetImage.item_id == item_id)
    query = select(Dataset).where(Dataset.id.in_(holding), datasets.visible(viewer))
    return session.scalars(query.order_by(Dataset.id.desc()).limit(LISTED)).all()


def _seen(session: Session, run: TrainingRun | None, viewer: User | None) -> Dataset | None:
    if run is None:
        return None
    return session.scalar(select(Dataset).where(Dataset.id == run.dataset_id, datasets.visible(viewer)))


def _origins(blobs: BlobStore, dataset: Dataset) -> dict[str, int]:
    _, items = manifests.read(blobs, dataset.manifest_sha256)
    trained = (item for item in items if item.split is Split.TRAIN)
    return dict(Counter(caption.origin for item in trained for caption in item.captions).most_common())
