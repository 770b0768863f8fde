"""What freezing a filter would put into a dataset and what it would leave out, counted beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from catalog import item_lists
from catalog.filters import ItemFilter
from catalog.frozen_rows import accepted, having
from catalog.items import may_train
from catalog.schema import Caption, Collection, Dataset, DatasetKind, Image, Item, Origin, Split
from catalog.selection import Selection


@dataclass(frozen=True)
class Preview:
    """Counts of what the filter finds: `photos` with their captions by origin would be frozen.

    `unaccepted` photos have no accepted caption, `prohibited` ones may not be trained on, `golden` ones are
    kept for scoring. Near-duplicates between splits are found while freezing, and not counted here.
    """

    photos: int
    origins: dict[Origin, int]
    unaccepted: int
    prohibited: int
    golden: int

    @property
    def captions(self) -> int:
        return sum(self.origins.values())


def preview(session: Session, collection: Collection, wanted: ItemFilter) -> Preview:
    """Count what freezing these items would do. Raises InvalidInput for a filter of other texts."""
    chosen = accepted(collection, wanted)
    found = having(session, chosen)
    return Preview(
        photos=_count(session, *found, may_train(), not_golden()),
        origins=_origins(session, chosen),
        unaccepted=item_lists.count(session, collection, wanted) - _count(session, *found),
        prohibited=_count(session, *found, ~may_train()),
        golden=_count(session, *found, may_train(), ~not_golden()),
    )


def lines(session: Session, collection: Collection) -> Sequence[str]:
    """The names under which the collection was frozen before."""
    mine = (Dataset.collection_id == collection.id, Dataset.kind == DatasetKind.CURATED)
    return session.scalars(select(Dataset.name).where(*mine).distinct().order_by(Dataset.name)).all()


def not_golden() -> ColumnElement[bool]:
    """The condition under which an Image row is kept for no golden set."""
    return or_(Image.split.is_(None), Image.split != Split.GOLDEN)


def _origins(session: Session, chosen: Selection) -> dict[Origin, int]:
    counted = chosen.captions(session).with_only_columns(Caption.origin, func.count())
    usable = counted.join(Image, Image.id == Item.image_id).where(may_train(), not_golden())
    return {row.origin: row[1] for row in session.execute(usable.group_by(Caption.origin))}


def _count(session: Session, *conditions: ColumnElement[bool]) -> int:
    counted = select(func.count()).select_from(Item).join(Image, Image.id == Item.image_id)
    return session.scalar(counted.where(*conditions)) or 0
