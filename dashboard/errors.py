"""Errors become answers: problem+json (RFC 9457) for programs, plain pages for people."""

from dataclasses import dataclass, field
from typing import Any

from apiflask import HTTPError
from flask import Flask, current_app, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, TimeoutError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, SecurityError, Unauthorized
from werkzeug.http import HTTP_STATUS_CODES

from catalog import errors as catalog
from catalog.space import is_full
from dashboard.session import close_session
from pictures.errors import PictureError

PROBLEM_JSON = "application/problem+json"
STATUS = {
    catalog.InvalidInput: 422,
    catalog.NotFound: 404,
    catalog.NotAllowed: 403,
    catalog.Conflict: 409,
    catalog.UploadOverrun: 413,
    catalog.MissingBlob: 500,
    catalog.StorageUnavailable: 503,
    catalog.StorageFull: 507,
    catalog.SchemaOutOfDate: 503,
    catalog.CatalogError: 500,
}
RETRY_AFTER = 5  # seconds


@dataclass(frozen=True)
class Problem:
    """One answer to one error. `more` holds the members beyond RFC 9457's own."""

    status: int
    detail: str
    more: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return HTTP_STATUS_CODES.get(self.status, "Error")


def init_app(app: Flask) -> None:
    app.register_error_handler(catalog.CatalogError, catalog_error)
    app.register_error_handler(PictureError, picture_error)
    app.register_error_handler(IntegrityError, integrity_error)
    app.register_error_handler(DataError, data_error)
    app.register_error_handler(OverflowError, data_error)
    app.register_error_handler(DBAPIError, database_error)
    app.register_error_handler(TimeoutError, database_error)
    app.register_error_handler(OSError, system_error)
    app.register_error_handler(HTTPError, schema_error)
    app.register_error_handler(HTTPException, http_error)


def catalog_error(error: catalog.CatalogError) -> ResponseReturnValue:
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    more = {}
    if isinstance(error, catalog.StaleCaption):
        more = {
            "caption_id": error.caption_id,
            "version": error.version,
            "current": error.current,
            "state": error.state,
            "yours": error.yours,
        }
    headers = {"Retry-After": str(RETRY_AFTER)} if isinstance(error, catalog.StorageUnavailable) else {}
    return answer(Problem(status, str(error), more, headers))


def picture_error(error: PictureError) -> ResponseReturnValue:
    return answer(Problem(422, str(error), {"reason": error.reason}))


def integrity_error(error: IntegrityError) -> ResponseReturnValue:
    """A row that the database refuses because of another, written in the same moment."""
    return answer(
        Problem(409, "Somebody else saved the same thing in the same moment; reload and try again.")
    )


def data_error(error: Exception) -> ResponseReturnValue:
    """A number that no column holds, such as an id of twenty digits."""
    return answer(Problem(422, "A number in the request is larger than any that is kept here."))


def database_error(error: Exception) -> ResponseReturnValue:
    """A database that is away, locked or full: say so, and when to try again."""
    current_app.logger.error("the database did not answer: %s", error)
    detail = "The database does not answer. Nothing was lost; try again in a moment."
    return answer(Problem(503, detail, headers={"Retry-After": str(RETRY_AFTER)}))


def system_error(error: OSError) -> ResponseReturnValue:
    """A full disk of this server; any other error of the system is a fault of ours."""
    if not is_full(error):
        raise error
    current_app.logger.error("a disk is full: %s", error)
    return answer(Problem(507, "The server's disk is full. Nothing was half stored; try again later."))


def schema_error(error: HTTPError) -> ResponseReturnValue:
    """What APIFlask raises when a request does not fit its schema."""
    return answer(Problem(error.status_code, error.message or "", {"errors": error.detail}))


def http_error(error: HTTPException) -> ResponseReturnValue:
    if isinstance(error, Unauthorized) and not wants_problem():
        return redirect(url_for("security.login", next=request.full_path.rstrip("?")))
    if error.response is not None:
        return error.response
    kept = ("Allow", "Retry-After", "WWW-Authenticate")
    headers = {name: value for name, value in error.get_headers() if name in kept}
    more = {"reason": "csrf"} if isinstance(error, CSRFError) else {}
    return answer(Problem(error.code or 500, _worded(error), more, headers))


def answer(problem: Problem) -> ResponseReturnValue:
    close_session()
    if wants_problem():
        body = {"title": problem.title, "status": problem.status, "detail": problem.detail, **problem.more}
        response = jsonify(body)
        response.mimetype = PROBLEM_JSON
        return response, problem.status, problem.headers
    return _page(problem), problem.status, problem.headers


def below_api() -> bool:
    """Whether the request is for the REST API."""
    return request.path.startswith("/api/")


def wants_problem() -> bool:
    """Whether a program asked: below /api, or by the Accept header."""
    return below_api() or PROBLEM_JSON in request.headers.get("Accept", "")


def _page(problem: Problem) -> str:
    if problem.status == 503 or isinstance(request.routing_exception, SecurityError):
        # The frame of the other pages asks who is logged in and where things are, which is unknown here.
        return current_app.jinja_env.get_template("bare_error.html").render(problem=problem)
    return render_template("error.html", problem=problem)


def _worded(error: HTTPException) -> str:
    if isinstance(error, CSRFError):
        return "This page is out of date; reload it and try again."
    if isinstance(error, SecurityError):
        return "This host name is not served here; an admin can add it to RECAPTION_TRUSTED_HOSTS."
    if isinstance(error, RateLimitExceeded):
        return "Too many attempts from this address; wait a minute and try again."
    if isinstance(error, RequestEntityTooLarge):
        return "The request is larger than 64 MiB; send fewer or smaller files at a time."
    return error.description or ""
