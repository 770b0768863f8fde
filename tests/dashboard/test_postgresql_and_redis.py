"""The same dashboard over PostgreSQL and Redis."""

import io
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from apiflask import APIFlask
from flask import request_finished

from catalog import accounts
from catalog.database import Database
from catalog.schema import Checkpoint, CheckpointState, Role
from catalog.settings import load_settings
from dashboard.app import create_app
from tests.dashboard.conftest import jpeg
from tests.dashboard.visitor import PASSWORD, Visitor


@pytest.fixture
def visitor(tmp_path: Path, empty_postgresql: str, redis_url: str) -> Iterator[Visitor]:
    settings = load_settings(
        {
            "RECAPTION_HOME": str(tmp_path),
            "RECAPTION_DATABASE_URL": empty_postgresql,
            "RECAPTION_BROKER_URL": redis_url,
        }
    )
    database = Database(settings.database_url)
    with database.writing() as session:
        accounts.create_user(session, name="ada", role=Role.ADMIN, password=PASSWORD)
        sha256, state = "0" * 64, CheckpointState.ACTIVE
        session.add(
            Checkpoint(
                name="starter", state=state, weights_sha256=sha256, description_sha256=sha256, description={}
            )
        )
    database.close()
    app: APIFlask = create_app(settings, reconcile=False)
    app.test_client_class = Visitor
    client = app.test_client()
    assert isinstance(client, Visitor)
    yield client
    app.extensions["recaption"].database.close()
    app.extensions["recaption"].queue.app.close()


def test_the_loop_of_a_reviewer(visitor: Visitor) -> None:
    assert visitor.log_in("ada").status_code == 302
    collection = visitor.call("POST", "/collections", json={"name": "Harbour"}).json["id"]
    (report,) = visitor.upload(collection, (io.BytesIO(jpeg()), "one.jpg")).json["files"]
    assert report["status"] == "imported"
    job = visitor.call("POST", "/jobs", json={"collection_id": collection})
    assert job.status_code == 202
    assert "Waiting for a worker" in visitor.get(f"/jobs/{job.json['id']}").text
    item = f"/items/{report['item_id']}"
    written = visitor.call("POST", f"{item}/captions", json={"text": "A kite."})
    changed = visitor.call("PATCH", f"/captions/{written.json['id']}", json={"version": 1, "text": "Kites."})
    assert changed.json["version"] == 2
    stale = visitor.call("PATCH", f"/captions/{written.json['id']}", json={"version": 1, "text": "Boats."})
    assert stale.status_code == 409
    assert "Kites." in visitor.get(item).text
    assert "Kites." in visitor.get(f"/collections/{collection}/export?format=csv").text


def test_a_crash_of_the_database_after_the_last_query_spoils_no_answer(
    visitor: Visitor, empty_postgresql: str
) -> None:
    visitor.log_in("ada")

    def crash(*_: object, **__: object) -> None:
        with psycopg.connect(empty_postgresql, autocommit=True) as other:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> %s"
            others = (other.info.dbname, other.info.backend_pid)
            killed = other.execute(query, others).fetchall()
        assert killed

    with request_finished.connected_to(crash):
        assert visitor.call("GET", "/collections").status_code == 200
    assert visitor.call("GET", "/collections").status_code == 200
