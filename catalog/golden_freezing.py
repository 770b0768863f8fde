"""Freezing golden sets: references that were written blind, or captions of people that were imported."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.orm import Session

from catalog import collections, frozen_rows, leaks, splits
from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.dataset_languages import primary
from catalog.errors import Conflict, NotFound
from catalog.filters import EVERYTHING, ItemFilter
from catalog.freezing import Content, Frozen, Line, named
from catalog.freezing import freeze as freeze_line
from catalog.frozen_rows import SPLITS, Captions, Table
from catalog.manifests import FrozenCaption
from catalog.schema import (
    Caption,
    CaptionKind,
    CaptionState,
    Dataset,
    DatasetKind,
    GoldenItem,
    GoldenReference,
    GoldenSet,
    Item,
    Origin,
    Split,
)
from catalog.selection import TEXT_STATES, Selection


def freeze(database: Database, blobs: BlobStore, golden_set_id: int, *, unfinished: bool = False) -> Frozen:
    """Freeze a golden set as a dataset of its name; nothing can be written for it from then on.

    A set that is frozen already stays what it is. Raises Conflict while photos lack references, unless it is
    to be frozen `unfinished`, without the photos that have none.
    """
    with database.reading() as session:
        golden_set = session.get(GoldenSet, golden_set_id)
        if golden_set is None:
            raise NotFound(f"there is no golden set {golden_set_id}")
        if golden_set.dataset_id is not None:
            return Frozen(golden_set.dataset_id, _version(session, golden_set.dataset_id), is_new=False)
        line = Line(
            name=golden_set.name,
            kind=DatasetKind.GOLDEN,
            collection_id=golden_set.collection_id,
            user_id=golden_set.user_id,
        )
    read = partial(_blind, golden_set, line, unfinished)
    frozen = freeze_line(database, blobs, line, read, nothing=_nothing(golden_set.name))
    with database.writing() as session:
        done = update(GoldenSet).where(GoldenSet.id == golden_set_id)
        session.execute(done.values(dataset_id=frozen.dataset_id))
    return frozen


def freeze_imported(
    database: Database,
    blobs: BlobStore,
    collection_id: int,
    name: str,
    *,
    wanted: ItemFilter = EVERYTHING,
    user_id: int | None = None,
) -> Frozen:
    """Freeze captions of people that an import brought, and nobody changed since, as references.

    Their photos never train from then on; those that were frozen to be learned from, and what looks like
    them, are left out. Raises as `datasets.freeze` does, and Conflict for captions of several languages.
    """
    line = Line(name=named(name), kind=DatasetKind.GOLDEN, collection_id=collection_id, user_id=user_id)
    with database.reading() as session:
        collection = collections.get(session, collection_id, viewer=None)
        frozen_rows.accepted(collection, wanted)
        _require_one_language(session, Selection(collection, wanted, TEXT_STATES))
    nothing = (
        "no photo here has a caption of a person that came with an import and was not changed since, or all "
        "of them were frozen to be learned from; import references, or draw a golden set and write some"
    )
    return freeze_line(database, blobs, line, partial(_imported, line, wanted), nothing=nothing)


def _nothing(name: str) -> str:
    return f"nobody wrote a caption for the golden set {name!r} yet; write some before it is frozen"


def _blind(golden_set: GoldenSet, line: Line, unfinished: bool, session: Session) -> Content:
    collection = collections.get(session, line.collection_id, viewer=None)
    of_set = (GoldenReference.golden_set_id == golden_set.id, GoldenReference.item_id == Item.id)
    members = select(GoldenItem.item_id).where(GoldenItem.golden_set_id == golden_set.id)
    number = select(func.count()).where(*of_set).scalar_subquery()
    lacking = select(func.count()).where(Item.id.in_(members), number < golden_set.references_each)
    if (lack := session.scalar(lacking.select_from(Item)) or 0) and not unfinished:
        raise Conflict(
            f"{lack} photos of the golden set {golden_set.name!r} lack references; write them, or freeze it "
            "unfinished with what is there"
        )
    found = frozen_rows.table(session, Item.id.in_(members), exists().where(*of_set))
    header = frozen_rows.header(collection, line.kind, EVERYTHING)
    rows = frozen_rows.rows(session, _golden(found), _references(session, golden_set))
    left_out = session.scalar(select(func.count()).where(Item.id.in_(members), number == 0).select_from(Item))
    return Content(header, rows, {"without a reference": left_out or 0})


def _references(session: Session, golden_set: GoldenSet) -> Callable[[Sequence[int]], Captions]:
    """A function that reads the references of items, in the order in which they were written."""

    def read(item_ids: Sequence[int]) -> Captions:
        found: dict[int, list[tuple[FrozenCaption, int | None]]] = {}
        query = select(GoldenReference).where(
            GoldenReference.golden_set_id == golden_set.id, GoldenReference.item_id.in_(item_ids)
        )
        for reference in session.scalars(query.order_by(GoldenReference.id)):
            frozen = FrozenCaption(
                text=reference.text,
                language=golden_set.language,
                kind=CaptionKind.CAPTION.value,
                origin=Origin.WRITTEN.value,
                blind=True,
            )
            found.setdefault(reference.item_id, []).append((frozen, reference.user_id))
        return found

    return read


def _imported(line: Line, wanted: ItemFilter, session: Session) -> Content:
    collection = collections.get(session, line.collection_id, viewer=None)
    chosen = Selection(collection, wanted, TEXT_STATES)
    of_caption = (*chosen.of_caption(), *_as_imported())
    of_item = wanted.of_item(session, collection)
    found = frozen_rows.table(session, *of_item, exists().where(Caption.item_id == Item.id, *of_caption))
    kept, left_out = _unlearned(session, found)
    header = frozen_rows.header(collection, line.kind, wanted)
    captions_of = frozen_rows.captions_of(session, *of_caption, blind=True)
    return Content(header, frozen_rows.rows(session, _golden(kept), captions_of), left_out)


def _require_one_language(session: Session, chosen: Selection) -> None:
    """By a set of several languages no captioner could be judged: each writes one."""
    tags = session.scalars(
        chosen.captions(session).with_only_columns(Caption.language).where(*_as_imported()).distinct()
    ).all()
    if len({primary(tag) for tag in tags}) > 1:
        first, *others = sorted(tags)
        raise Conflict(
            f"the captions that can be frozen are in {', '.join([first, *others])}, and captioners are "
            f"judged by one language at a time; choose one, such as --filter language={first}"
        )


def _as_imported() -> tuple[ColumnElement[bool], ...]:
    """What rows of Caption have to fulfil to be as people wrote them elsewhere."""
    return (
        Caption.origin == Origin.IMPORTED,
        Caption.version == 1,
        Caption.model.is_(None),
        Caption.checkpoint_id.is_(None),
        Caption.state != CaptionState.REJECTED,
    )


def _unlearned(session: Session, found: Table) -> tuple[Table, dict[str, int]]:
    """The items that nothing learned from, and how many were left out, by reason."""
    learned = np.isin(found["split"], [SPLITS.index(split) for split in splits.LEARNED_FROM])
    prohibited = found["prohibited"] & ~learned
    free = found[~learned & ~prohibited]
    like = leaks.near(session, free["dhash"], splits.LEARNED_FROM)
    left_out = {
        "prohibited": int(prohibited.sum()),
        "learned from": int(learned.sum()),
        "like ones learned from": int(like.sum()),
    }
    return free[~like], left_out


def _golden(found: Table) -> Table:
    """The same items, which become golden when they are frozen."""
    found["split"] = SPLITS.index(Split.GOLDEN)
    return found


def _version(session: Session, dataset_id: int) -> int:
    return session.get_one(Dataset, dataset_id).version
