"""One database session a request: it reads in safe methods and holds the write lock in the others."""

import logging

from flask import Flask, g, request
from sqlalchemy.orm import Session

from catalog.database import AWAY
from dashboard.services import services

log = logging.getLogger(__name__)

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def current_session() -> Session:
    """The request's session, opened on first use. Whoever changes something calls `commit`."""
    if "database_session" not in g:
        database = services().database
        safe = request.method in SAFE_METHODS
        g.database_session = Session(database.engine) if safe else database.writing_session()
    session: Session = g.database_session
    return session


def commit() -> None:
    """Commit the request's changes; what a view publishes, it publishes after this."""
    current_session().commit()


def close_session(error: BaseException | None = None) -> None:
    """End the request's session; what was not committed is rolled back."""
    session: Session | None = g.pop("database_session", None)
    if session is None:
        return
    try:
        session.close()
    except AWAY as lost:
        # The answer is ready, and a connection that broke since has nothing left to roll back.
        log.warning("the database went away after a request: %s", lost.orig)
        session.invalidate()


def init_app(app: Flask) -> None:
    app.teardown_appcontext(close_session)
