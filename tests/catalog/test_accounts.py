import pytest
from argon2 import PasswordHasher
from sqlalchemy.orm import Session

from catalog import accounts
from catalog.errors import Conflict, InvalidInput, NotFound
from catalog.schema import LoginLink, Role, utc_now


def test_a_password_is_kept_as_an_argon2_hash(session: Session) -> None:
    user = accounts.create_user(session, name="Ada", role=Role.ADMIN, password="long enough 1")
    assert user.password.startswith("$argon2id$")
    assert PasswordHasher().verify(user.password, "long enough 1")
    assert accounts.by_name(session, " ada ") is user


def test_bad_names_and_passwords_are_refused(session: Session) -> None:
    with pytest.raises(InvalidInput, match="too short"):
        accounts.create_user(session, name="Ada", role=Role.ADMIN, password="short")
    with pytest.raises(InvalidInput, match="cannot name"):
        accounts.create_user(session, name=" ", role=Role.ADMIN, password=None)
    accounts.create_user(session, name="Ada", role=Role.ADMIN, password=None)
    with pytest.raises(Conflict, match="ADA"):
        accounts.create_user(session, name="ADA", role=Role.REVIEWER, password=None)


def test_a_login_link_works_once(session: Session) -> None:
    user = accounts.create_user(session, name="Ada", role=Role.ADMIN, password=None)
    secret = accounts.create_login_link(session, user)
    assert accounts.redeem_login_link(session, secret) is user
    with pytest.raises(NotFound, match="used already"):
        accounts.redeem_login_link(session, secret)


def test_an_old_link_and_an_inactive_user_are_refused(session: Session) -> None:
    user = accounts.create_user(session, name="Ada", role=Role.ADMIN, password=None)
    old = accounts.create_login_link(session, user)
    session.flush()
    session.query(LoginLink).update({"expires_at": utc_now()})
    with pytest.raises(NotFound):
        accounts.redeem_login_link(session, old)
    fresh = accounts.create_login_link(session, user)
    signed = user.fs_uniquifier
    accounts.set_active(session, user, False)
    assert user.fs_uniquifier != signed
    with pytest.raises(NotFound):
        accounts.redeem_login_link(session, fresh)
