"""Assignment: whose work an item is. The queue gives what is assigned to somebody to nobody else."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from catalog import items
from catalog.errors import InvalidInput
from catalog.schema import Collection, Item, Membership, Role, User

MOST_NAMED = 200


@dataclass(frozen=True)
class Assigned:
    """Whose work an item is, by name, beside the names of those who could have it."""

    name: str | None
    candidates: Sequence[str]


def assign(session: Session, item: Item, name: str | None) -> User | None:
    """Make an item the work of the user of that name, who is returned; None makes it nobody's.

    Raises InvalidInput as `assignee` does.
    """
    user = assignee(session, item.collection, name) if name else None
    items.lock(session, item.id)
    item.assignee_id = user.id if user else None
    return user


def assignee(session: Session, collection: Collection, name: str) -> User:
    """The user of that name. Raises InvalidInput for one who may not see the collection."""
    same = func.lower(User.name) == func.lower(name.strip())
    user = session.scalar(select(User).where(same, may_review(collection)))
    if user is None:
        raise InvalidInput(
            f"{name[:60]!r} is no member of {collection.name!r} and no admin; an admin can add members on "
            "the collection's page “Members”"
        )
    return user


def assigned(session: Session, item: Item) -> Assigned:
    """Whose work the item is, beside those to whom it can be assigned."""
    user = session.get(User, item.assignee_id) if item.assignee_id else None
    return Assigned(user.name if user else None, candidates(session, item.collection))


def candidates(session: Session, collection: Collection) -> Sequence[str]:
    """The names of those to whom items of the collection can be assigned: the first MOST_NAMED."""
    names = select(User.name).where(may_review(collection)).order_by(func.lower(User.name), User.id)
    return session.scalars(names.limit(MOST_NAMED)).all()


def may_review(collection: Collection) -> ColumnElement[bool]:
    """The condition under which a row of User can have items of the collection."""
    members = select(Membership.user_id).where(Membership.collection_id == collection.id)
    return User.active & or_(User.role == Role.ADMIN, User.id.in_(members))
