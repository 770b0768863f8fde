"""Redecodings: what reviewers ask the network about a photo; workers claim, answer or fail it.

A claim raises `attempts`, and every later write proves it, so a worker that lost its lease can do no harm.
Leases run on the database's clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from catalog import checkpoints, items
from catalog.database import database_clock
from catalog.errors import InvalidInput, NotFound
from catalog.schema import (
    Caption,
    Image,
    Item,
    Redecoding,
    RedecodingKind,
    RedecodingState,
    User,
    utc_now,
)

LEASE = 30.0  # seconds
ATTEMPTS = 3
KEPT_FOR = timedelta(hours=1)
MOST_WAITING = 10  # questions of one user; what was asked before is no longer looked at
MOST_WORDS = 100
LONGEST_WORD = 100  # characters
LONGEST_PREFIX = 2000  # characters
MOST_REPLACEMENTS = 32


@dataclass(frozen=True)
class Asked:
    """A question in a worker's hands for as long as its attempt is the newest."""

    redecoding_id: int
    attempt: int
    checkpoint_id: int
    kind: RedecodingKind
    question: dict[str, Any]
    rendition: str


def ask_for_replacements(
    session: Session,
    item: Item,
    *,
    user: User,
    words: Sequence[str],
    position: int,
    count: int,
    caption: Caption | None = None,
) -> Redecoding:
    """Ask which `count` other words may stand at a position, counted from 0, of a caption of the photo.

    The checkpoint that wrote `caption` is asked, or else the active one. Raises InvalidInput for words,
    a position or a count out of bounds, NotFound when there is nobody to ask.
    """
    if not 1 <= len(words) <= MOST_WORDS:
        raise InvalidInput(f"the caption has {len(words)} words; ask about one of 1 to {MOST_WORDS}")
    for word in words:
        if not 1 <= len(word) <= LONGEST_WORD:
            raise InvalidInput(f"the word {word[:20]!r} has {len(word)} letters; give 1 to {LONGEST_WORD}")
    if not 0 <= position < len(words):
        raise InvalidInput(f"position {position} lies outside the caption of {len(words)} words, from 0 on")
    if not 1 <= count <= MOST_REPLACEMENTS:
        raise InvalidInput(f"{count} replacements are out of range; ask for 1 to {MOST_REPLACEMENTS}")
    question = {"words": list(words), "position": position, "count": count}
    return _ask(session, item, user, RedecodingKind.REPLACEMENTS, question, caption)


def ask_to_continue(
    session: Session, item: Item, *, user: User, prefix: str, caption: Caption | None = None
) -> Redecoding:
    """Ask how a caption of the photo goes on behind a text; who is asked is as in `ask_for_replacements`.

    Raises InvalidInput for a text that is too long, NotFound when there is nobody to ask.
    """
    if len(prefix) > LONGEST_PREFIX:
        raise InvalidInput(f"a text of {len(prefix)} characters is too long; give {LONGEST_PREFIX} at most")
    return _ask(session, item, user, RedecodingKind.CONTINUATION, {"prefix": prefix}, caption)


def get(session: Session, redecoding_id: int, *, viewer: User | None) -> Redecoding:
    """Raises NotFound for a question that is gone, or that somebody else asked."""
    found = session.get(Redecoding, redecoding_id)
    if found is None or viewer is None or found.user_id != viewer.id:
        raise NotFound(f"there is no redecoding {redecoding_id}; ask again")
    items.get(session, found.item_id, viewer=viewer)
    return found


def wait(session: Session) -> bool:
    """Whether a question waits for a worker."""
    return bool(session.scalar(select(exists().where(_claimable()))))


def claim(session: Session) -> Asked | None:
    """Take the oldest question that waits, or None. One that ended three workers fails instead."""
    query = (
        select(Redecoding, Image.rendition)
        .join(Item, Item.id == Redecoding.item_id)
        .join(Image, Image.id == Item.image_id)
        .where(_claimable())
        .order_by(Redecoding.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=Redecoding)
    )
    while row := session.execute(query).one_or_none():
        redecoding, rendition = row
        if redecoding.attempts < ATTEMPTS:
            return _lend(session, redecoding, rendition)
        redecoding.state = RedecodingState.FAILED
        redecoding.error = f"workers died or hung {ATTEMPTS} times over this question; look into their log"
        session.flush()
    return None


def answer(session: Session, held: Asked, answer: dict[str, Any]) -> None:
    """Give the answer, unless another worker has the question now or the photo is gone."""
    _end(session, held, state=RedecodingState.ANSWERED, answer=answer)


def fail(session: Session, held: Asked, why: str) -> None:
    """Say in a sentence why there is no answer."""
    _end(session, held, state=RedecodingState.FAILED, error=why)


def release(session: Session, held: Asked) -> None:
    """Give a question back, charging nobody: the storage is away, or the worker has to stop."""
    _end(session, held, state=RedecodingState.WAITING, attempts=held.attempt - 1)


def _ask(
    session: Session,
    item: Item,
    user: User,
    kind: RedecodingKind,
    question: dict[str, Any],
    caption: Caption | None,
) -> Redecoding:
    if caption and caption.item_id != item.id:
        raise InvalidInput(f"caption {caption.id} is none of item {item.id}")
    own = caption.checkpoint_id if caption else None
    redecoding = Redecoding(
        item_id=item.id,
        user_id=user.id,
        checkpoint_id=own or checkpoints.active(session).id,
        kind=kind,
        question=question,
    )
    session.execute(delete(Redecoding).where(Redecoding.created_at < utc_now() - KEPT_FOR))
    session.add(redecoding)
    session.flush()
    _forget_the_oldest(session, user)
    return redecoding


def _forget_the_oldest(session: Session, user: User) -> None:
    mine = (Redecoding.user_id == user.id, Redecoding.state == RedecodingState.WAITING)
    kept = select(Redecoding.id).where(*mine).order_by(Redecoding.id.desc()).limit(MOST_WAITING)
    given_up = {
        "state": RedecodingState.FAILED,
        "error": f"you have asked {MOST_WAITING} other questions since; ask again",
    }
    session.execute(
        update(Redecoding).where(*mine, Redecoding.id.not_in(kept)).values(given_up),
        execution_options={"synchronize_session": False},
    )


def _claimable() -> ColumnElement[bool]:
    """Those that wait, and those whose lease ran out; one that ends too late is a clock that jumped."""
    now = database_clock()
    over = or_(Redecoding.lease_expires < now, Redecoding.lease_expires > now + 2 * LEASE)
    claimed = (Redecoding.state == RedecodingState.CLAIMED) & over
    return or_(Redecoding.state == RedecodingState.WAITING, claimed)


def _lend(session: Session, redecoding: Redecoding, rendition: str) -> Asked:
    redecoding.state = RedecodingState.CLAIMED
    redecoding.attempts += 1
    session.flush()
    lent = update(Redecoding).where(Redecoding.id == redecoding.id)
    session.execute(lent.values(lease_expires=database_clock() + LEASE))
    return Asked(
        redecoding_id=redecoding.id,
        attempt=redecoding.attempts,
        checkpoint_id=redecoding.checkpoint_id,
        kind=redecoding.kind,
        question=redecoding.question,
        rendition=rendition,
    )


def _end(session: Session, held: Asked, **values: Any) -> None:
    mine = update(Redecoding).where(
        Redecoding.id == held.redecoding_id,
        Redecoding.attempts == held.attempt,
        Redecoding.state == RedecodingState.CLAIMED,
    )
    session.execute(mine.values(lease_expires=None, **values))
