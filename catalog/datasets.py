"""Datasets: accepted captions frozen as versions that never change, found again, and deleted."""

from collections.abc import Iterator
from functools import partial

from sqlalchemy import ColumnElement, delete, select, true
from sqlalchemy.orm import Session

from catalog import collections, frozen_rows, manifests, splits
from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.errors import Conflict, NotAllowed, NotFound
from catalog.filters import EVERYTHING, ItemFilter
from catalog.freezing import TOMBSTONE, VERSION_MARK, Content, Line, named
from catalog.freezing import Frozen as Frozen
from catalog.freezing import freeze as freeze_line
from catalog.manifests import FrozenItem
from catalog.pages import PAGE_SIZE, Listing, listing
from catalog.schema import (
    Checkpoint,
    Collection,
    Comparison,
    Dataset,
    DatasetImage,
    DatasetKind,
    Evaluation,
    Job,
    Membership,
    Role,
    Split,
    Tombstone,
    TrainingRun,
    User,
)

HIDDEN = "a golden set of another collection"


def freeze(
    database: Database,
    blobs: BlobStore,
    collection_id: int,
    name: str,
    *,
    wanted: ItemFilter = EVERYTHING,
    user_id: int | None = None,
) -> Frozen:
    """Freeze the accepted captions of a filter as the next version of the dataset `name`.

    Images get their split when they are first frozen. Where the newest version holds the same content, that
    one is returned. Raises NotFound, InvalidInput where nothing can be frozen, Conflict for a name that is
    another collection's, and StorageFull, with nothing kept.
    """
    line = Line(name=named(name), kind=DatasetKind.CURATED, collection_id=collection_id, user_id=user_id)
    with database.reading() as session:
        chosen = frozen_rows.accepted(collections.get(session, collection_id, viewer=None), wanted)
        image_ids = frozen_rows.unassigned(session, chosen)
        nothing = _nothing(chosen.collection, wanted)
    for some in splits.pages(image_ids):
        with database.writing() as session:
            splits.assign(session, some)

    return freeze_line(database, blobs, line, partial(_content, line, wanted), nothing=nothing)


def _content(line: Line, wanted: ItemFilter, session: Session) -> Content:
    """What the filter finds now, without what may not be learned from."""
    collection = collections.get(session, line.collection_id, viewer=None)
    chosen = frozen_rows.accepted(collection, wanted)
    found = frozen_rows.table(session, *frozen_rows.having(session, chosen))
    kept, left_out = frozen_rows.sifted(session, found)
    captions_of = frozen_rows.captions_of(session, *chosen.of_caption())
    header = frozen_rows.header(collection, line.kind, wanted)
    return Content(header, frozen_rows.rows(session, kept, captions_of), left_out)


def _nothing(collection: Collection, wanted: ItemFilter) -> str:
    of_filter = "" if wanted == EVERYTHING else " of this filter"
    return (
        f"no caption{of_filter} in {collection.name!r} can be frozen: a dataset is made of accepted captions "
        "of photos that may be learned from and are in no golden set; accept some first"
    )


def visible(viewer: User | None) -> ColumnElement[bool]:
    """The condition under which `viewer` may see a Dataset row. None is the command line."""
    if viewer is None or viewer.role is Role.ADMIN:
        return true()
    theirs = select(Membership.collection_id).where(Membership.user_id == viewer.id)
    return Dataset.collection_id.in_(theirs)


def get(session: Session, dataset_id: int, *, viewer: User | None) -> Dataset:
    """Raises NotFound for what is not there and, in the same words, for what the viewer may not see."""
    dataset = session.scalar(select(Dataset).where(Dataset.id == dataset_id, visible(viewer)))
    if dataset is None:
        raise NotFound(f"there is no dataset {dataset_id}")
    return dataset


def in_log(dataset: Dataset, job: Job) -> str:
    """What the log of a job calls a dataset: who sees the job need not see other collections than its own."""
    return address(dataset) if job.collection_id in (None, dataset.collection_id) else HIDDEN


def by_name(session: Session, name: str, *, viewer: User | None = None) -> Dataset:
    """The newest version of NAME, or the one that NAME@3 says. Raises NotFound as `get` does."""
    line, _, version = name.rpartition(VERSION_MARK) if VERSION_MARK in name else (name, "", "")
    query = select(Dataset).where(Dataset.name == line, visible(viewer))
    if VERSION_MARK in name:
        if not (version.isascii() and version.isdigit() and len(version) < 10):
            raise NotFound(f"{name[:80]!r} names no version of a dataset; write NAME or NAME@3")
        query = query.where(Dataset.version == int(version))
    dataset = session.scalar(query.order_by(Dataset.version.desc()).limit(1))
    if dataset is None:
        raise NotFound(f"there is no dataset called {name[:80]!r}; `recaption dataset list` names them all")
    return dataset


def address(dataset: Dataset) -> str:
    """The name of this very version, such as harbour@3."""
    return f"{dataset.name}{VERSION_MARK}{dataset.version}"


def newest(
    session: Session,
    *,
    viewer: User | None,
    kind: DatasetKind | None = None,
    after: int | None = None,
    limit: int = PAGE_SIZE,
) -> Listing[Dataset]:
    """The versions of datasets that the viewer may see, newest first."""
    query = select(Dataset).where(visible(viewer)).order_by(Dataset.id.desc())
    if kind is not None:
        query = query.where(Dataset.kind == kind)
    if after is not None:
        query = query.where(Dataset.id < after)
    return listing(session.scalars(query.limit(limit + 1)).all(), limit, lambda dataset: dataset.id)


def versions(session: Session, dataset: Dataset) -> list[Dataset]:
    """All versions of this dataset, newest first."""
    query = select(Dataset).where(Dataset.name == dataset.name).order_by(Dataset.version.desc())
    return list(session.scalars(query))


def items(blobs: BlobStore, dataset: Dataset) -> Iterator[FrozenItem]:
    """What a dataset holds. Raises MissingBlob and DamagedManifest as `manifests.read` does."""
    return manifests.read(blobs, dataset.manifest_sha256)[1]


def remove(session: Session, dataset: Dataset, *, user: User | None) -> list[str]:
    """Delete a version of a dataset with its scores, and leave a tombstone.

    Raises NotAllowed for people who are no admins and did not freeze it, and Conflict once a job trained on
    it or, of a golden set, once checkpoints were compared on it.
    Returns blob keys as `collections.remove` does.
    """
    _require_allowed(dataset, user)
    session.execute(select(Dataset.id).where(Dataset.id == dataset.id).with_for_update())
    _refuse_trained(session, dataset)
    _refuse_judged_by(session, dataset)
    image_ids = session.scalars(
        select(DatasetImage.image_id).where(DatasetImage.dataset_id == dataset.id)
    ).all()
    scores = session.scalars(
        select(Evaluation.predictions_sha256).where(Evaluation.dataset_id == dataset.id)
    ).all()
    session.add(
        Tombstone(
            kind=TOMBSTONE,
            name=address(dataset),
            sha256=dataset.manifest_sha256,
            user_id=user.id if user else None,
        )
    )
    session.execute(delete(Dataset).where(Dataset.id == dataset.id))
    left = collections.remove_unused_images(session, image_ids)
    return sorted({dataset.manifest_sha256, *scores, *left})


def may_remove(dataset: Dataset, user: User | None) -> bool:
    """Whether somebody may delete a dataset: admins may, and who froze it. None is the command line."""
    return user is None or user.role is Role.ADMIN or dataset.user_id == user.id


def _require_allowed(dataset: Dataset, user: User | None) -> None:
    if not may_remove(dataset, user):
        raise NotAllowed(
            f"{address(dataset)} is deleted by who froze it, or by an admin; ask one of them to do it"
        )


def _refuse_trained(session: Session, dataset: Dataset) -> None:
    run = session.execute(
        select(TrainingRun.job_id, Checkpoint.name)
        .outerjoin(Checkpoint, Checkpoint.id == TrainingRun.checkpoint_id)
        .where(TrainingRun.dataset_id == dataset.id)
        .order_by(Checkpoint.name.is_(None), TrainingRun.job_id)
        .limit(1)
    ).first()
    if run is not None:
        job_id, checkpoint = run
        whose = (
            f"the checkpoint {checkpoint!r} was trained on it" if checkpoint else f"job {job_id} trains on it"
        )
        raise Conflict(
            f"{address(dataset)} cannot be deleted: {whose}, and what a captioner learned from is kept"
        )


def _refuse_judged_by(session: Session, dataset: Dataset) -> None:
    """Who could delete the looks at a golden set could look until chance is kind."""
    looked = select(Comparison.id).where(
        Comparison.dataset_id == dataset.id, Comparison.split == Split.GOLDEN
    )
    if session.scalar(looked.limit(1)) is not None:
        raise Conflict(
            f"{address(dataset)} cannot be deleted: checkpoints were compared on it, and what captioners are "
            "judged by is kept; freeze another version, and that one is measured on"
        )
