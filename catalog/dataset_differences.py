"""Differences: what came, went and changed between two frozen datasets, counted, and the first of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from catalog import manifests
from catalog.blind_items import still_blind
from catalog.blobs import BlobStore
from catalog.manifests import FrozenCaption, FrozenItem
from catalog.schema import Dataset, Split, User

Row = TypeVar("Row")

MOST_TOLD = 100
Meaning = tuple[Split, tuple[tuple[str, str, str, str, str | None, bool], ...]]


@dataclass
class Part(Generic[Row]):
    """How many there are, and the first of them."""

    count: int = 0
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.count += 1
        if len(self.rows) < MOST_TOLD:
            self.rows.append(row)


@dataclass(frozen=True)
class Change:
    """An item that is in both, with the captions that it had and has; `item` is that of the newer one."""

    item: FrozenItem
    before: Sequence[FrozenCaption]
    after: Sequence[FrozenCaption]


@dataclass(frozen=True)
class Difference:
    added: Part[FrozenItem]
    removed: Part[FrozenItem]
    changed: Part[Change]


def difference(blobs: BlobStore, older: Dataset, newer: Dataset) -> Difference:
    """What differs, photo by photo: one with the same bytes and path is the same, whatever its number.

    A caption that was changed and changed back is none. Raises MissingBlob and DamagedManifest.
    """
    added, removed, changed = Part[FrozenItem](), Part[FrozenItem](), Part[Change]()
    before = {_key(item): item for item in manifests.read(blobs, older.manifest_sha256)[1]}
    for item in manifests.read(blobs, newer.manifest_sha256)[1]:
        was = before.pop(_key(item), None)
        if was is None:
            added.add(item)
        elif _meaning(was) != _meaning(item):
            changed.add(Change(item, was.captions, item.captions))
    for item in before.values():
        removed.add(item)
    return Difference(added, removed, changed)


def shown(session: Session, found: Difference, viewer: User | None) -> Difference:
    """The same without the captions of photos that the viewer still has to caption blind."""
    items = [*found.added.rows, *found.removed.rows, *(one.item for one in found.changed.rows)]
    blind = still_blind(session, [item.item_id for item in items], viewer)

    def bare(item: FrozenItem) -> FrozenItem:
        return replace(item, captions=()) if item.item_id in blind else item

    def bare_change(one: Change) -> Change:
        return Change(bare(one.item), (), ()) if one.item.item_id in blind else one

    return Difference(
        added=replace(found.added, rows=[bare(one) for one in found.added.rows]),
        removed=replace(found.removed, rows=[bare(one) for one in found.removed.rows]),
        changed=replace(found.changed, rows=[bare_change(one) for one in found.changed.rows]),
    )


def _key(item: FrozenItem) -> tuple[str, str]:
    return item.sha256, item.path


def _meaning(item: FrozenItem) -> Meaning:
    """What somebody who learns from the item would notice."""
    told = [(one.text, one.language, one.kind, one.origin, one.model, one.blind) for one in item.captions]
    return item.split, tuple(told)
