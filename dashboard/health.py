"""Whether this server can work: for load balancers, and for whoever starts one."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy import text

from dashboard.session import current_session

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    current_session().execute(text("SELECT 1"))
    return jsonify(database="answers")
