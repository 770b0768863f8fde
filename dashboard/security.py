"""Accounts: the catalog's users in the shape that Flask-Security knows, and who may come in."""

from datetime import timedelta
from typing import Any

from flask import Flask, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_security import LoginForm, RoleMixin, Security, UserDatastore, UserMixin, current_user
from flask_wtf import CSRFProtect
from sqlalchemy import func, select
from werkzeug.exceptions import Unauthorized
from wtforms import StringField
from wtforms.validators import DataRequired

from catalog.errors import NotAllowed
from catalog.schema import Role, User
from catalog.settings import Settings
from dashboard.services import services

LOGINS = "10 per minute"  # attempts from one address
PUBLIC = {
    "static",
    "bootstrap.static",
    "health.healthz",
    "login_link.redeem",
    "openapi.spec",
    "security.login",
}
CONFIG = {
    # Hashes are those of catalog.accounts: argon2 over the password as typed.
    "SECURITY_PASSWORD_HASH": "argon2",
    "SECURITY_PASSWORD_SCHEMES": ["argon2"],
    "SECURITY_PASSWORD_SINGLE_HASH": {"argon2"},
    "SECURITY_PASSWORD_NORMALIZE_FORM": None,
    "SECURITY_USER_IDENTITY_ATTRIBUTES": [{"name": {"mapper": str, "case_insensitive": True}}],
    "SECURITY_LOGIN_USER_TEMPLATE": "login.html",
    "SECURITY_POST_LOGOUT_VIEW": "/login",
    "SECURITY_FLASH_MESSAGES": False,
    "SECURITY_STATIC_FOLDER": None,
    "SECURITY_FRESHNESS": timedelta(minutes=-1),  # no page asks for the password a second time
    "SECURITY_CLI_USERS_NAME": None,
    "SECURITY_CLI_ROLES_NAME": None,
    "WTF_CSRF_TIME_LIMIT": None,  # a token is good for as long as its session
    "SESSION_COOKIE_NAME": "recaption",
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
}


class Account(UserMixin):
    """A user of the catalog. Detached from its session, so that it outlives a rollback."""

    roles: list[RoleMixin] = []

    def __init__(self, user: User) -> None:
        self.user = user
        self.active = user.active
        self.fs_uniquifier = user.fs_uniquifier

    @property
    def password(self) -> str:
        return self.user.password

    @password.setter
    def password(self, hashed: str) -> None:
        self.user.password = hashed


Account.fs_uniquifier = ""  # Flask-Security looks for it on the class


class Accounts(UserDatastore):
    """The store of users behind Flask-Security; each call is a transaction of its own."""

    def __init__(self) -> None:
        super().__init__(Account, RoleMixin)

    def find_user(self, case_insensitive: bool = False, **identity: Any) -> Account | None:
        ((name, value),) = identity.items()
        column = getattr(User, name)
        same = func.lower(column) == func.lower(value.strip()) if case_insensitive else column == value
        with services().database.reading() as session:
            user = session.scalar(select(User).where(same))
        return Account(user) if user else None

    def put(self, account: Account) -> Account:
        with services().database.writing() as session:
            session.merge(account.user)
        return account

    def commit(self) -> None:
        """Nothing waits: `put` has committed."""


class NameLoginForm(LoginForm):
    """Log in by name and password; the answer does not tell which of the two was wrong."""

    email = None
    name = StringField("Name", validators=[DataRequired("Enter your name.")])

    def validate(self, **options: Any) -> bool:
        self.ifield = self.name
        self.user = Accounts().find_user(case_insensitive=True, name=self.name.data or "")
        valid: bool = super().validate(**options)
        if not valid and self.name.data and self.password.data and not self.user_authenticated:
            self.name.errors, self.password.errors = [], []
            self.form_errors = ["The name or the password is wrong."]
        return valid


def viewer() -> User:
    """The user who is logged in."""
    user: User = current_user.user
    return user


def require_admin() -> None:
    """Raise NotAllowed unless the user is an admin."""
    if viewer().role is not Role.ADMIN:
        raise NotAllowed("only an admin may do this; ask one of yours")


def require_login() -> None:
    """Close every door but those of PUBLIC; an unknown address goes on to its 404."""
    known = request.routing_exception is None
    if known and request.endpoint not in PUBLIC and not current_user.is_authenticated:
        raise Unauthorized("Log in first.")


def init_app(app: Flask, settings: Settings) -> None:
    app.config.from_mapping(CONFIG)
    app.secret_key = settings.secret_key()
    app.config["TRUSTED_HOSTS"] = ["localhost", "127.0.0.1", *settings.trusted_hosts]
    # Before CSRF protection, which reads the whole body of a request.
    app.before_request(require_login)
    CSRFProtect(app)
    security = Security(app, Accounts(), login_form=NameLoginForm)
    # Flask-Security would let its own bearer tokens in; here a session is the only way.
    security.login_manager.request_loader(lambda request: None)
    _limit_logins(app, settings)


def _limit_logins(app: Flask, settings: Settings) -> None:
    shared = settings.broker_url.startswith(("redis://", "rediss://"))
    limiter = Limiter(
        get_remote_address,
        app=app,
        storage_uri=settings.broker_url if shared else "memory://",
        storage_options={"socket_connect_timeout": 1, "socket_timeout": 1} if shared else {},
        in_memory_fallback_enabled=shared,
    )
    login: Any = app.view_functions["security.login"]
    app.view_functions["security.login"] = limiter.limit(LOGINS, methods=["POST"])(login)
