"""Accounts: the catalog's users in the shape that Flask-Security knows, and who may come in, with what."""

from datetime import timedelta
from typing import Any

from apiflask import APIFlask
from flask import Flask, g, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_security import LoginForm, RoleMixin, Security, UserDatastore, UserMixin, current_user
from flask_wtf import CSRFProtect
from sqlalchemy import func, select
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized
from wtforms import StringField
from wtforms.validators import DataRequired

from catalog import tokens
from catalog.errors import NotAllowed
from catalog.schema import ApiToken, Role, Scope, User
from catalog.settings import Settings
from dashboard.api import description
from dashboard.errors import below_api
from dashboard.services import services
from dashboard.session import SAFE_METHODS

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


class SessionsCsrf(CSRFProtect):
    """CSRF protection for whoever comes with a session; no site can make a browser send a token."""

    def protect(self, apply_exemptions: bool = False) -> None:
        if api_token() is None:
            super().protect(apply_exemptions)


def api_token() -> ApiToken | None:
    """The token that this request came in with."""
    token: ApiToken | None = g.get("api_token")
    return token


def viewer() -> User:
    """The user who asks: the token's where one is sent, otherwise the one who is logged in."""
    token = api_token()
    user: User = token.user if token else current_user.user
    return user


def require_admin() -> None:
    """Raise NotAllowed unless the user is an admin."""
    if viewer().role is not Role.ADMIN:
        raise NotAllowed("only an admin may do this; ask one of yours")


def require_login() -> None:
    """Close every door but those of PUBLIC; an unknown address goes on to its 404."""
    if request.routing_exception is not None:
        return
    if below_api() and request.authorization and request.authorization.type == "bearer":
        # Also where a session cookie comes along: a token that is no good is not made up for by it.
        admit(request.authorization.token or "")
    elif request.endpoint not in PUBLIC and not current_user.is_authenticated:
        raise unauthorized("Log in first, or send an API token." if below_api() else "Log in first.")


def admit(secret: str) -> None:
    """Let the owner of an API token in, as far as its scope reaches.

    Attempts are not limited: a secret has 256 random bits, and no password can be tried here.
    """
    token = tokens.redeem(services().database, secret)
    if token is None:
        raise unauthorized("This API token is unknown, expired or revoked, or its owner is locked out.")
    if token.scope is not Scope.WRITE and request.method not in SAFE_METHODS:
        raise NotAllowed(
            f"the API token {token.name!r} may only read; make one of the scope `write` to change something"
        )
    g.api_token = token


def unauthorized(why: str) -> Unauthorized:
    """A refusal that tells programs how to come in (RFC 6750); pages take no token."""
    return Unauthorized(why, www_authenticate=WWWAuthenticate("bearer") if below_api() else None)


def init_app(app: APIFlask, settings: Settings) -> None:
    app.config.from_mapping(CONFIG)
    app.secret_key = settings.secret_key()
    app.config["TRUSTED_HOSTS"] = ["localhost", "127.0.0.1", *settings.trusted_hosts]
    # Before CSRF protection, which reads the whole body of a request.
    app.before_request(require_login)
    SessionsCsrf(app)
    security = Security(app, Accounts(), login_form=NameLoginForm)
    # Flask-Security would let in bearer tokens of its own, which have no scope and cannot be revoked.
    security.login_manager.request_loader(lambda request: None)
    description.init_app(app)
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
