"""Photos that nothing may learn from by now: held back for measuring, like one that is, or prohibited."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from catalog import leaks
from catalog.schema import DatasetImage, Image, Item, Split
from catalog.splits import HELD_BACK

KEYS_AT_A_TIME = 500


def prohibited(session: Session, keys: Collection[str]) -> set[str]:
    """Those of the photos, by their hashes, of which any item is prohibited to train on."""
    asked = select(Image.sha256).join(Item, Item.image_id == Image.id).where(Item.training_prohibited)
    return {
        sha256
        for some in _pages(keys)
        for sha256 in session.scalars(asked.where(Image.sha256.in_(some)).distinct())
    }


def held_back(session: Session, keys: Collection[str]) -> set[str]:
    """Those of the photos that captioners are measured on by now, that look like one, or that are gone."""
    elsewhere = exists().where(DatasetImage.image_id == Image.id, DatasetImage.split.in_(HELD_BACK))
    free = or_(Image.split.is_(None), Image.split.not_in(HELD_BACK))
    usable = select(Image.sha256, Image.dhash).where(free, ~elsewhere)
    hashes: dict[str, int | None] = {}
    for some in _pages(keys):
        hashes |= dict(session.execute(usable.where(Image.sha256.in_(some))).all())
    return {*keys} - hashes.keys() | near(session, hashes, HELD_BACK)


def near(session: Session, hashes: Mapping[str, int | None], splits: Sequence[Split]) -> set[str]:
    """Those of the photos, given with their difference hashes, that look like any image of these splits."""
    told = {sha256: dhash for sha256, dhash in hashes.items() if dhash is not None}
    found = leaks.near(session, np.array([*told.values()], np.int64), splits)
    return {sha256 for sha256, is_near in zip(told, found, strict=True) if is_near}


def _pages(keys: Collection[str]) -> Iterator[list[str]]:
    asked = list(keys)
    for start in range(0, len(asked), KEYS_AT_A_TIME):
        yield asked[start : start + KEYS_AT_A_TIME]
