"""Accounts: users, their roles, and links that log in once."""

import hashlib
import secrets
from datetime import timedelta

from argon2 import PasswordHasher
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from catalog.errors import Conflict, InvalidInput, NotFound
from catalog.pages import PAGE_SIZE, Listing, behind, listing
from catalog.schema import LoginLink, Role, User, utc_now

PASSWORD_LENGTH = 10  # characters at least
NAME_LENGTH = 255


def create_user(session: Session, *, name: str, role: Role, password: str | None) -> User:
    """Add somebody who can log in; without a password, by login link only.

    Raises InvalidInput for a name or password that cannot be used, Conflict when the name is taken.
    """
    name = name.strip()
    if not name or len(name) > NAME_LENGTH or not name.isprintable():
        raise InvalidInput(f"{name[:60]!r} cannot name a user; use 1 to {NAME_LENGTH} printable characters")
    if password is not None and len(password) < PASSWORD_LENGTH:
        raise InvalidInput(f"the password is too short; use at least {PASSWORD_LENGTH} characters")
    if session.scalar(select(User.id).where(func.lower(User.name) == func.lower(name))):
        raise Conflict(f"a user called {name!r} exists already; choose another name")
    user = User(
        name=name,
        role=role,
        password=PasswordHasher().hash(password or secrets.token_urlsafe(48)),
        fs_uniquifier=secrets.token_hex(32),
    )
    session.add(user)
    session.flush()
    return user


def set_keys(session: Session, user: User, keys: dict[str, str]) -> None:
    """Keep which keys of the review page the user has changed."""
    session.execute(update(User).where(User.id == user.id).values(keys=keys))


def by_name(session: Session, name: str) -> User:
    user = session.scalar(select(User).where(func.lower(User.name) == func.lower(name.strip())))
    if user is None:
        raise NotFound(f"there is no user called {name!r}; `recaption user add` makes one")
    return user


def get(session: Session, user_id: int) -> User:
    user = session.get(User, user_id)
    if user is None:
        raise NotFound(f"there is no user {user_id}")
    return user


def users(session: Session, *, after: int | None = None, limit: int = PAGE_SIZE) -> Listing[User]:
    key = (func.lower(User.name), User.id)
    query = select(User).where(behind(session, after, *key)).order_by(*key).limit(limit + 1)
    return listing(session.scalars(query).all(), limit, lambda user: user.id)


def set_active(session: Session, user: User, active: bool) -> None:
    """Let a user in again, or keep the user out and end the sessions that are open."""
    user.active = active
    user.fs_uniquifier = secrets.token_hex(32)


def create_login_link(session: Session, user: User, *, minutes: int = 15) -> str:
    """The secret of a link that logs `user` in once, within `minutes`."""
    secret = secrets.token_urlsafe(32)
    session.execute(delete(LoginLink).where(LoginLink.expires_at < utc_now()))
    expires_at = utc_now() + timedelta(minutes=minutes)
    session.add(LoginLink(secret_hash=_hash(secret), user_id=user.id, expires_at=expires_at))
    return secret


def redeem_login_link(session: Session, secret: str) -> User:
    """Whose link it is; the link ends with this. Raises NotFound when it was used, is too old or unknown."""
    used = session.execute(
        delete(LoginLink)
        .where(LoginLink.secret_hash == _hash(secret), LoginLink.expires_at >= utc_now())
        .returning(LoginLink.user_id)
    ).scalar()
    user = session.get(User, used) if used is not None else None
    if user is None or not user.active:
        raise NotFound("this login link was used already or is too old; start `recaption demo` for a new one")
    return user


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
