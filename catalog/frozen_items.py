"""The items of a dataset in pages, each with whether it can still be looked at."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog import manifests
from catalog.blind_items import still_blind
from catalog.blobs import BlobStore
from catalog.collections import visible_to
from catalog.manifests import FrozenItem
from catalog.schema import Collection, Dataset, GoldenSet, Item, User

PAGE_SIZE = 60


@dataclass(frozen=True)
class Shown:
    """An item as it was frozen. `is_here`: its photo is still there, and the viewer may see it.

    `golden_set` is an open one for which the viewer still has to caption it blind, if there is one; then its
    captions are left out.
    """

    item: FrozenItem
    is_here: bool
    golden_set: GoldenSet | None


@dataclass(frozen=True)
class Page:
    """Some items in the order of the manifest; `after` is the place to continue behind, None at the end."""

    rows: Sequence[Shown]
    after: int | None


def page(
    session: Session,
    blobs: BlobStore,
    dataset: Dataset,
    *,
    viewer: User | None,
    after: int = 0,
    limit: int = PAGE_SIZE,
) -> Page:
    """The items behind the place `after`, counted from 1: a manifest never changes, so that places stay.

    Raises MissingBlob and DamagedManifest as `manifests.read` does.
    """
    _, items = manifests.read(blobs, dataset.manifest_sha256)
    found = list(islice(items, after, after + limit + 1))
    item_ids = [item.item_id for item in found]
    here, blind = _here(session, item_ids, viewer), still_blind(session, item_ids, viewer)
    rows = [
        Shown(
            item if item.item_id not in blind else replace(item, captions=()),
            item.item_id in here,
            blind.get(item.item_id),
        )
        for item in found[:limit]
    ]
    return Page(rows, after + limit if len(found) > limit else None)


def _here(session: Session, item_ids: Sequence[int], viewer: User | None) -> set[int]:
    query = select(Item.id).join(Collection, Collection.id == Item.collection_id)
    return set(session.scalars(query.where(Item.id.in_(item_ids), visible_to(viewer))))
