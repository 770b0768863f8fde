"""The commands on checkpoints."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from catalog import evaluations, impacts
from catalog.blobs.local import LocalBlobs
from catalog.checkpoint_commands import checkpoint_group
from catalog.checkpoints import register
from catalog.database import Database
from catalog.errors import Conflict, NotFound
from catalog.evaluations import SetToMeasure
from catalog.schema import Checkpoint, CheckpointState, Collection, Comparison, Dataset, Job, JobKind, Split

Compare = Callable[..., Comparison]
Freeze = Callable[..., Dataset]
Run = Callable[..., Result]


@pytest.fixture
def run(database: Database, tmp_path: Path) -> Run:
    """A function that runs a command on checkpoints."""
    url = database.url.render_as_string(hide_password=False)
    env = {"RECAPTION_HOME": str(tmp_path / "home"), "RECAPTION_DATABASE_URL": url}
    return lambda *arguments: CliRunner().invoke(checkpoint_group, [str(one) for one in arguments], env=env)


@pytest.fixture(autouse=True)
def two(database: Database, tmp_path: Path) -> None:
    """The active checkpoint "one", and the candidate "two"."""
    blobs = LocalBlobs(tmp_path / "home" / "blobs")
    with database.writing() as session:
        for name, state in (("one", CheckpointState.ACTIVE), ("two", CheckpointState.CANDIDATE)):
            folder = tmp_path / name
            folder.mkdir()
            (folder / "weights.safetensors").write_bytes(b"weights of " + name.encode())
            described = {"name": name, "scores": {"scores": {"cider": 0.5}}, "vocabulary": ["a", "b"]}
            (folder / "checkpoint.json").write_text(json.dumps(described))
            register(session, blobs, folder, state=state)


def test_a_checkpoint_is_promoted_with_a_reason_and_rolled_back(run: Run) -> None:
    refused = run("promote", "two")
    assert isinstance(refused.exception, Conflict)
    assert "give a reason to promote two all the same" in str(refused.exception)
    said = run("promote", "two", "--reason", "the old one knows no masts").stdout
    assert said.startswith("two captions from now on; jobs under way keep theirs\ncannot tell")
    assert [one["state"] for one in json.loads(run("list", "--json").stdout)] == ["active", "retired"]
    back = json.loads(run("rollback", "--json").stdout)
    assert (back["name"], back["state"], back["verdict"]) == ("one", "active", None)
    assert "no promotion is left" in str(run("rollback").exception)
    assert isinstance(run("promote", "three").exception, NotFound)


def test_the_list_tells_state_and_scores(run: Run) -> None:
    lines = run("list").stdout.splitlines()
    assert [line.split()[1:] for line in lines] == [
        ["candidate", "two,", "cider", "0.500"],
        ["active", "one,", "cider", "0.500"],
    ]
    assert run("list", "--after", json.loads(run("list", "--json").stdout)[1]["id"]).stdout == ""


def test_one_checkpoint_is_told_with_all_that_is_known_of_it(
    run: Run, database: Database, frozen: Freeze, compared: Compare
) -> None:
    with database.writing() as session:
        active, candidate = session.scalars(select(Checkpoint).order_by(Checkpoint.id))
        golden = frozen(session, None, "Golden")
        compared(session, candidate, active, golden)
        evaluations.record(
            session,
            checkpoint_id=candidate.id,
            measured_on=SetToMeasure(golden, Split.GOLDEN),
            job_id=None,
            result={"n": 424, "scores": {"cider": 0.468}, "origins": {"blind": 424}},
            predictions_sha256="5" * 64,
        )
        harbour = Collection(name="Harbour")
        session.add(harbour)
        session.flush()
        impacts.record(
            session,
            collection_id=harbour.id,
            candidate_id=candidate.id,
            against_id=active.id,
            job_id=None,
            result={"estimate": 30, "items": 100, "low": 0.2, "high": 0.4},
        )
    said = run("show", "two").stdout
    assert said.splitlines() == [
        "two is candidate; it knows 2 words",
        "wrote 0 captions",
        "Golden@1 golden, 424 photos, 424 blind: cider 0.4680",
        "would change 30 of 100 unreviewed captions of Harbour (20% to 40%)",
        "cannot tell: nobody here knows which photos two was trained on; golden ones may be among them",
        "CIDEr 0.412 to 0.468 on 424 photos of Golden@1 (p 0.004, first look)",
        "no other golden set tells whether anything was forgotten",
    ]
    told = json.loads(run("show", "two", "--json").stdout)
    assert (told["verdict"]["answer"], told["measured"][0]["origins"]) == (
        "cannot tell",
        {"blind": 424},
    )
    assert told["lineage"]["parents"] == []
    assert json.loads(run("show", "one", "--json").stdout)["verdict"] is None


def test_measuring_starts_a_job(run: Run, database: Database) -> None:
    told = json.loads(run("measure", "two", "--json").stdout)
    with database.reading() as session:
        job = session.scalars(select(Job)).one()
    assert (told, job.kind) == ({"job": job.id, "checkpoint": "two"}, JobKind.TRAIN)


def test_a_checkpoint_is_saved_and_what_cannot_be_used_is_not_added(run: Run, tmp_path: Path) -> None:
    assert run("save", "two", tmp_path / "saved").stdout == f"{tmp_path / 'saved'} is written\n"
    assert (tmp_path / "saved" / "weights.safetensors").read_bytes() == b"weights of two"
    assert isinstance(run("add", tmp_path / "saved").exception, Conflict)
    assert run("add", tmp_path / "nowhere").exit_code == 2
