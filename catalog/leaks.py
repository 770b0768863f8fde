"""Leaks: photos that look like those on which a captioner is scored, and must not be learned from."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog import hamming
from catalog.near_duplicates import DISTANCE
from catalog.schema import Image, Split
from pictures.fingerprint import FLAT

ROWS_AT_A_TIME = 20_000
# Whoever learns from a photo, or chooses an epoch by it, must not meet its like in these.
KEPT_FROM = {
    Split.TRAIN: (Split.VALIDATION, Split.TEST, Split.GOLDEN),
    Split.VALIDATION: (Split.TEST, Split.GOLDEN),
}


def near(session: Session, hashes: NDArray[np.int64], splits: Sequence[Split]) -> NDArray[np.bool_]:
    """Which of (N,) difference hashes are near-duplicates of any image of these splits.

    Pictures with nothing on them (FLAT) are near to none.
    """
    found = np.zeros(len(hashes), np.bool_)
    told = hashes != FLAT
    if told.any():
        found[told] = hamming.near(hashes[told], _hashes(session, splits), DISTANCE)
    return found


def _hashes(session: Session, splits: Sequence[Split]) -> NDArray[np.int64]:
    """The hashes of all images of these splits, whatever collection they are in."""
    query = (
        select(Image.id, Image.dhash)
        .where(Image.split.in_(splits), Image.dhash.is_not(None), Image.dhash != FLAT)
        .order_by(Image.id)
        .limit(ROWS_AT_A_TIME)
    )
    found = [np.empty(0, np.int64)]
    rows = session.execute(query).all()
    while rows:
        found.append(np.array([row.dhash for row in rows], np.int64))
        rows = session.execute(query.where(Image.id > rows[-1].id)).all()
    return np.concatenate(found)
