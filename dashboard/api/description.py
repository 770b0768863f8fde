"""What the API's description says of coming in: with a token, or with the session of a browser."""

from typing import Any

from apiflask import APIFlask

SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token of the page /tokens or of `recaption token create`. It has the "
        "rights of its user; with the scope `read`, only GET, HEAD and OPTIONS are allowed.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "recaption",
        "description": "The session of a browser that is logged in. What changes something carries the "
        "header X-CSRFToken as well.",
    },
}


def init_app(app: APIFlask) -> None:
    app.config["SECURITY_SCHEMES"] = SCHEMES
    app.spec_processor(_ask_for_one)


def _ask_for_one(spec: Any) -> dict[str, Any]:
    """Every operation asks for one of the schemes, whichever."""
    return {**spec, "security": [{name: []} for name in SCHEMES]}
