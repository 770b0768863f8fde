"""Answers for pages that poll: an ETag, and 304 without a body when nothing has changed."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import make_response, request
from werkzeug.wrappers import Response


def with_etag(view: Callable[..., Any]) -> Callable[..., Response]:
    """Give a view's answer an ETag of its bytes, and honour If-None-Match."""

    @wraps(view)
    def conditional(*args: Any, **options: Any) -> Response:
        response = make_response(view(*args, **options))
        response.add_etag()
        return response.make_conditional(request)

    return conditional
