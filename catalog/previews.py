"""What a bulk operation would do, told before it is started."""

import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog.blind_items import withheld_from
from catalog.filters import ItemFilter
from catalog.schema import Caption, Collection, Item, OperationKind, User
from catalog.selection import Selection, selection
from catalog.text_changes import TEXT_KINDS, Difference, differences, text_change

EXAMPLES = 20
TIME = 4.0  # seconds
ROWS = 2_000  # read at a time


@dataclass(frozen=True)
class Example:
    """A caption that would change, as it is and as it would be."""

    item_id: int
    caption_id: int
    path: str
    before: str
    after: str

    @property
    def differences(self) -> list[Difference]:
        return differences(self.before, self.after)


@dataclass(frozen=True)
class Preview:
    """How many captions or items there are, and how many would change.

    `seen` of the `total` were looked at in time; where that is not all, `changed` is the least it can be.
    """

    total: int
    seen: int
    changed: int
    examples: Sequence[Example] = field(default=())

    @property
    def exact(self) -> bool:
        return self.seen >= self.total


def preview(
    session: Session,
    collection: Collection,
    *,
    kind: OperationKind,
    filter: ItemFilter,
    options: Mapping[str, Any],
    seconds: float = TIME,
    viewer: User | None = None,
) -> Preview:
    """What the operation would do now. Raises InvalidInput as `operations.prepare` does.

    No example is of a photo that the viewer still has to caption blind.
    """
    wanted = selection(collection, filter, kind, dict(options))
    if kind is OperationKind.ASSIGN:
        total = wanted.item_extent(session).total
    else:
        total = wanted.extent(session).total
    if kind not in TEXT_KINDS:
        return Preview(total=total, seen=total, changed=total)
    withheld = set[int]()
    if viewer:
        of_collection = select(Item.id).where(Item.collection_id == collection.id)
        withheld = set(session.scalars(of_collection.where(withheld_from(viewer))))
    return _of_texts(session, wanted, kind, options, total, seconds, withheld)


def _of_texts(
    session: Session,
    wanted: Selection,
    kind: OperationKind,
    options: Mapping[str, Any],
    total: int,
    seconds: float,
    withheld: Set[int],
) -> Preview:
    change, until = text_change(kind, options), time.monotonic() + seconds
    columns = (Caption.item_id, Caption.id, Item.path, Caption.text)
    examples: list[Example] = []
    seen, changed = 0, 0
    rows = session.execute(
        wanted.captions(session).with_only_columns(*columns).execution_options(yield_per=ROWS)
    )
    for item_id, caption_id, path, text in rows:
        seen += 1
        after = change(text)
        if after is not None:
            changed += 1
            if len(examples) < EXAMPLES and item_id not in withheld:
                examples.append(Example(item_id, caption_id, path, text, after))
        if seen % ROWS == 0:
            change.forget()
        if time.monotonic() > until:
            break
    rows.close()
    return Preview(total=max(total, seen), seen=seen, changed=changed, examples=examples)
