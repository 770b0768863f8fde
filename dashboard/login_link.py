"""Log in once by the link that `recaption demo` prints.

Opening the link is enough, so that it works from a terminal and without scripts. A GET that logs in is
tolerable here because its secret is used up by it, lives for minutes, and counts only where it was made:
in a browser on this very machine. Previews of a browser do not use it up.
"""

from ipaddress import ip_address

from flask import Blueprint, make_response, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_security import current_user, login_user
from werkzeug.exceptions import NotFound

from catalog import accounts
from dashboard.security import Account
from dashboard.services import services

blueprint = Blueprint("login_link", __name__)


@blueprint.get("/login/link/<secret>")
def redeem(secret: str) -> ResponseReturnValue:
    if not asked_on_this_machine():
        raise NotFound()
    if request.method == "HEAD" or "prefetch" in request.headers.get("Sec-Purpose", ""):
        return "", 204
    if not current_user.is_authenticated:
        with services().database.writing() as session:
            user = accounts.redeem_login_link(session, secret)
        login_user(Account(user), authn_via=["link"])
    response = make_response(redirect(url_for("collections.index")))
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def asked_on_this_machine() -> bool:
    """Whether the request came straight from this machine. Behind a proxy, everybody's address is local."""
    forwarded = "Forwarded" in request.headers or "X-Forwarded-For" in request.headers
    return not forwarded and ip_address(request.remote_addr or "0.0.0.0").is_loopback
