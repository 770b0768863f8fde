"""API tokens: with their secrets, scripts call the REST API; kept as hashes, with a scope and an end."""

import hashlib
import secrets
from contextlib import suppress
from datetime import timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, joinedload

from catalog.database import Database
from catalog.errors import InvalidInput, NotFound, StorageFull
from catalog.pages import PAGE_SIZE, Listing, listing
from catalog.schema import ApiToken, Scope, User, utc_now

PREFIX = "rcp_"  # what scanners for lost secrets look for
NAME_LENGTH = 255
LONGEST = 365  # days
NOTED_EVERY = timedelta(minutes=1)


def create(session: Session, user: User, *, name: str, scope: Scope, days: int) -> tuple[ApiToken, str]:
    """A new token of `user`, good for `days`, and its secret, which cannot be told again.

    Raises InvalidInput for a name or a time that cannot be used.
    """
    name = name.strip()
    if not name or len(name) > NAME_LENGTH or not name.isprintable():
        raise InvalidInput(f"{name[:60]!r} cannot name a token; use 1 to {NAME_LENGTH} printable characters")
    if not 1 <= days <= LONGEST:
        raise InvalidInput(f"a token cannot be good for {days} days; give 1 to {LONGEST}")
    secret = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        user_id=user.id,
        name=name,
        secret_hash=_hash(secret),
        scope=scope,
        expires_at=utc_now() + timedelta(days=days),
    )
    session.add(token)
    session.flush()
    return token, secret


def of_user(
    session: Session, user: User, *, after: int | None = None, limit: int = PAGE_SIZE
) -> Listing[ApiToken]:
    """A user's tokens, newest first, expired ones too."""
    query = select(ApiToken).where(ApiToken.user_id == user.id)
    if after is not None:
        query = query.where(ApiToken.id < after)
    found = session.scalars(query.order_by(ApiToken.id.desc()).limit(limit + 1)).all()
    return listing(found, limit, lambda token: token.id)


def revoke(session: Session, token_id: int, *, user: User | None) -> ApiToken:
    """End a token of `user`, or anybody's for None; what it was is returned. Raises NotFound."""
    token = session.get(ApiToken, token_id, options=[joinedload(ApiToken.user)])
    if token is None or (user is not None and token.user_id != user.id):
        raise NotFound(f"there is no token {token_id}; it may have been revoked already")
    session.delete(token)
    return token


def redeem(database: Database, secret: str) -> ApiToken | None:
    """The token, with its user, that this is the secret of; None unless both may still come in."""
    with database.reading() as session:
        token = session.scalar(
            select(ApiToken)
            .join(ApiToken.user)
            .options(joinedload(ApiToken.user))
            .where(ApiToken.secret_hash == _hash(secret), ApiToken.expires_at > utc_now(), User.active)
        )
    if token is not None:
        _note_use(database, token)
    return token


def _note_use(database: Database, token: ApiToken) -> None:
    """Keep when the token was last used, once a minute at most.

    Whoever looks waits for no writer, and sees no fault of a database that can only be read.
    """
    now = utc_now()
    if token.last_used_at and token.last_used_at > now - NOTED_EVERY:
        return
    # Of several requests in the same moment, one writes and the others skip its row.
    due = (
        select(ApiToken.id)
        .where(
            ApiToken.id == token.id,
            or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at <= now - NOTED_EVERY),
        )
        .with_for_update(skip_locked=True)
    )
    with suppress(SQLAlchemyError, StorageFull), database.writing_unless_busy() as session:
        session.execute(
            update(ApiToken)
            .where(ApiToken.id.in_(due))
            .values(last_used_at=now)
            .execution_options(synchronize_session=False)
        )


def _hash(secret: str) -> str:
    # No salt and no slow hash, as passwords have: nobody guesses 256 random bits.
    return hashlib.sha256(secret.encode()).hexdigest()
