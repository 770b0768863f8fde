"""The API of retraining."""

import pytest
from sqlalchemy import select

from catalog.database import Database
from catalog.schema import Job, JobKind
from tests.dashboard.test_retraining import change, join, of_two_languages
from tests.dashboard.visitor import Visitor


def test_a_started_job_is_watched_until_nothing_changes(
    admin: Visitor,
    database: Database,
    train_job: int,
) -> None:
    answer = admin.call("GET", f"/training-jobs/{train_job}")
    assert answer.status_code == 200
    told = answer.json
    assert (told["job"]["state"], told["job"]["kind"]) == ("running", "train")
    assert told["standing"] == {
        "stage": "training",
        "epoch": 3,
        "epochs": 12,
        "step": 4,
        "steps": 10,
        "loss": 2.5,
        "seconds_left": 540.0,
    }
    assert [row["scores"]["cider"] for row in told["epochs"]] == [0.31, 0.36]
    assert told["losses"][-1] == [30, 2.5]
    assert told["data"]["replay"] == 240
    known = {"If-None-Match": answer.headers["ETag"]}
    assert admin.get(f"/api/v1/training-jobs/{train_job}", headers=known).status_code == 304
    change(database, train_job, {"stage": "evaluating"})
    assert admin.get(f"/api/v1/training-jobs/{train_job}", headers=known).status_code == 200


def test_a_job_goes_on_from_the_active_checkpoint_unless_the_call_says_otherwise(
    admin: Visitor,
    learnable: int,
    checkpoint: int,
) -> None:
    answer = admin.call("POST", "/training-jobs", json={"dataset_id": learnable})
    assert answer.status_code == 202
    assert answer.json["checkpoint_id"] == checkpoint
    body = {"dataset_id": learnable, "recipe": "show_and_tell", "origins": ["edited"], "seed": 3}
    answer = admin.call("POST", "/training-jobs", json=body)
    assert (answer.status_code, answer.json["checkpoint_id"]) == (202, None)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"dataset_id": 999}, 404),
        ({"checkpoint": "nobody"}, 404),
        ({"recipe": "../secret"}, 422),
        ({"replay": 1.5}, 422),
        ({"origins": []}, 422),
        ({"origins": ["invented"]}, 422),
        ({"seed": -1}, 422),
        ({"unknown": 1}, 422),
    ],
)
def test_what_cannot_be_is_refused(
    admin: Visitor,
    learnable: int,
    body: dict[str, object],
    status: int,
) -> None:
    named = {"dataset_id": learnable} | body if body else {}
    assert admin.call("POST", "/training-jobs", json=named).status_code == status


def test_a_job_learns_the_language_that_the_call_names(
    admin: Visitor, database: Database, learnable: int
) -> None:
    of_two_languages(database, learnable)
    body = {"dataset_id": learnable, "language": "en-GB"}
    job_id = admin.call("POST", "/training-jobs", json=body).json["id"]
    assert admin.call("POST", "/training-jobs", json={"dataset_id": learnable}).status_code == 202
    with database.reading() as session:
        jobs = session.scalars(select(Job).where(Job.kind == JobKind.TRAIN).order_by(Job.id)).all()
    assert [job.options["language"] for job in jobs] == ["en", "pt"]
    assert jobs[0].id == job_id


@pytest.mark.parametrize(
    ("language", "why"),
    [
        ("no tag", "the language is 'no tag'; give a tag such as en, de or pt-BR"),
        ("", "the language is ''; give a tag"),
        ("fr", "Harbour corrections@1 has no captions in fr; give one of en, pt"),
    ],
)
def test_a_language_that_cannot_be_learnt_is_refused_with_the_reason(
    admin: Visitor, database: Database, learnable: int, language: str, why: str
) -> None:
    of_two_languages(database, learnable)
    body = {"dataset_id": learnable, "language": language}
    answer = admin.call("POST", "/training-jobs", json=body)
    assert answer.status_code == 422
    assert why in answer.json["detail"]


def test_only_admins_leave_promotion_to_the_gate(
    reviewer: Visitor,
    database: Database,
    learnable: int,
    collection: int,
) -> None:
    assert reviewer.call("POST", "/training-jobs", json={"dataset_id": learnable}).status_code == 404
    join(database, collection, "bob")
    body = {"dataset_id": learnable, "promote": True}
    assert reviewer.call("POST", "/training-jobs", json=body).status_code == 403
    assert reviewer.call("POST", "/training-jobs", json={"dataset_id": learnable}).status_code == 202


def test_jobs_of_another_kind_and_of_others_are_not_there(
    admin: Visitor,
    reviewer: Visitor,
    database: Database,
    train_job: int,
) -> None:
    with database.writing() as session:
        other = Job(kind=JobKind.CAPTION)
        session.add(other)
        session.flush()
        caption_job = other.id
    assert admin.call("GET", f"/training-jobs/{caption_job}").status_code == 404
    assert reviewer.call("GET", f"/training-jobs/{train_job}").status_code == 404
