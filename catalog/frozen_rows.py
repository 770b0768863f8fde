"""The rows that a dataset is frozen from: items of a filter with their accepted captions, in order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, exists, select
from sqlalchemy.orm import Session

from catalog import items, leaks
from catalog.captions import IN_ORDER_OF_FILES
from catalog.errors import InvalidInput
from catalog.filters import ItemFilter
from catalog.manifests import FrozenCaption, FrozenItem, Header
from catalog.schema import (
    Caption,
    CaptionKind,
    CaptionState,
    Checkpoint,
    Collection,
    DatasetKind,
    Image,
    Item,
    Split,
)
from catalog.selection import Selection
from catalog.splits import pages
from pictures.fingerprint import FLAT

Table = NDArray[np.void]
SPLITS = tuple(Split)
NO_SPLIT = -1
FIELDS = [("id", "i8"), ("image", "i8"), ("dhash", "i8"), ("split", "i1"), ("prohibited", "?")]
# What a dataset says of an item.
COLUMNS = (
    Item.id,
    Item.image_id,
    Item.path,
    Item.external_id,
    Item.rights,
    Image.sha256,
    Image.rendition,
    Image.width,
    Image.height,
)
OF_CAPTION = (
    Caption.item_id,
    Caption.id,
    Caption.version,
    Caption.text,
    Caption.language,
    Caption.kind,
    Caption.origin,
    Caption.author_id,
    Checkpoint.name.label("checkpoint"),
    Caption.model,
)


@dataclass(frozen=True)
class Row:
    """An item to be frozen, with its image's row and who decided each of its captions last."""

    item: FrozenItem
    image_id: int
    authors: tuple[int | None, ...]


Captions = Mapping[int, Sequence[tuple[FrozenCaption, int | None]]]


def header(collection: Collection, kind: DatasetKind, wanted: ItemFilter) -> Header:
    return Header(
        kind=kind.value,
        collection=collection.name,
        filter=wanted.words(),
        guidelines=collection.guidelines,
    )


def accepted(collection: Collection, wanted: ItemFilter) -> Selection:
    """The captions that a dataset of this filter holds. Raises InvalidInput for one that asks for others."""
    if wanted.kind not in (None, CaptionKind.CAPTION):
        raise InvalidInput(f"the filter asks for kind {wanted.kind}; datasets hold captions")
    return Selection(collection, wanted, (CaptionState.ACCEPTED,))


def having(session: Session, chosen: Selection) -> list[ColumnElement[bool]]:
    """What rows of Item have to fulfil to have such a caption."""
    of_item = chosen.filter.of_item(session, chosen.collection)
    return [*of_item, exists().where(Caption.item_id == Item.id, *chosen.of_caption())]


def unassigned(session: Session, chosen: Selection) -> Sequence[int]:
    """The images to be frozen that have no split yet."""
    asked = (*having(session, chosen), items.may_train(), Image.split.is_(None))
    return session.scalars(
        select(Image.id).join(Item, Item.image_id == Image.id).where(*asked).distinct()
    ).all()


def table(session: Session, *conditions: ColumnElement[bool]) -> Table:
    """The items that fulfil the conditions, in their order: the fields of FIELDS."""
    query = (
        select(Item.id, Item.image_id, Image.dhash, Image.split, Item.training_prohibited)
        .join(Image, Image.id == Item.image_id)
        .where(*conditions)
        .order_by(Item.position, Item.id)
    )
    rows = session.execute(query, execution_options={"yield_per": leaks.ROWS_AT_A_TIME})
    return np.array([_numbers(row) for row in rows], FIELDS)


def _numbers(row: Any) -> tuple[int, int, int, int, bool]:
    split = NO_SPLIT if row.split is None else SPLITS.index(row.split)
    return row.id, row.image_id, FLAT if row.dhash is None else row.dhash, split, row.training_prohibited


def sifted(session: Session, found: Table) -> tuple[Table, dict[str, int]]:
    """The items that a dataset may hold, and how many may not, by reason.

    Golden images never train, nor does what its file prohibits; photos of train and validation that look
    like one of a later split are left out. Items without a split were accepted since the freezing began.
    """
    golden = found["split"] == SPLITS.index(Split.GOLDEN)
    left_out = {"prohibited": int(found["prohibited"].sum()), "golden": int(golden.sum())}
    held = found[~golden & ~found["prohibited"] & (found["split"] != NO_SPLIT)]
    kept = np.ones(len(held), np.bool_)
    for split, others in leaks.KEPT_FROM.items():
        here = held["split"] == SPLITS.index(split)
        kept[here] = ~leaks.near(session, held["dhash"][here], others)
        left_out[split.value] = int((here & ~kept).sum())
    return held[kept], left_out


def rows(session: Session, found: Table, captions_of: Callable[[Sequence[int]], Captions]) -> Iterator[Row]:
    """The items of a table in its order, read some at a time, with the captions that `captions_of` gives."""
    for some in pages(range(len(found))):
        part = found[some[0] : some[-1] + 1]
        ids = part["id"].tolist()
        query = select(*COLUMNS).join(Image, Image.id == Item.image_id).where(Item.id.in_(ids))
        by_id = {row.id: row for row in session.execute(query)}
        captions = captions_of(ids)
        for item_id, split in zip(ids, part["split"].tolist(), strict=True):
            yield _row(by_id[item_id], SPLITS[split], captions.get(item_id, ()))


def _row(row: Any, split: Split, captions: Sequence[tuple[FrozenCaption, int | None]]) -> Row:
    item = FrozenItem(
        item_id=row.id,
        path=row.path,
        sha256=row.sha256,
        rendition=row.rendition,
        width=row.width,
        height=row.height,
        split=split,
        captions=tuple(caption for caption, _ in captions),
        external_id=row.external_id,
        rights=row.rights,
    )
    return Row(item, row.image_id, tuple(author for _, author in captions))


def captions_of(
    session: Session, *conditions: ColumnElement[bool], blind: bool = False
) -> Callable[[Sequence[int]], Captions]:
    """A function that reads the captions of items that fulfil the conditions, in the order of files."""

    def read(item_ids: Sequence[int]) -> Captions:
        found: dict[int, list[tuple[FrozenCaption, int | None]]] = {}
        for row in session.execute(_captions(*conditions).where(Caption.item_id.in_(item_ids))):
            frozen = FrozenCaption(
                text=row.text,
                language=row.language,
                kind=row.kind.value,
                origin=row.origin.value,
                id=row.id,
                version=row.version,
                model=row.checkpoint or row.model,
                blind=blind,
            )
            found.setdefault(row.item_id, []).append((frozen, row.author_id))
        return found

    return read


def _captions(*conditions: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    query = select(*OF_CAPTION).outerjoin(Checkpoint, Checkpoint.id == Caption.checkpoint_id)
    return query.where(*conditions).order_by(*IN_ORDER_OF_FILES)
