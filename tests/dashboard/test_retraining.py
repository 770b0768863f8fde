"""Retraining: the form that starts it, and the page of a train job."""

import io
import json
import re
import zipfile
from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from catalog import collections, workers
from catalog.blobs import open_blobs
from catalog.database import Database
from catalog.schema import (
    Checkpoint,
    Collection,
    Dataset,
    Item,
    Job,
    JobKind,
    JobState,
    ReviewState,
    TrainingRun,
    User,
)
from catalog.settings import Settings
from catalog.training_jobs import MINIMUM_PHOTOS
from tests.dashboard import trained
from tests.dashboard.test_loop import curves
from tests.dashboard.visitor import Visitor


def change(database: Database, job: int, run: dict[str, object], **values: object) -> None:
    with database.writing() as session:
        session.execute(update(TrainingRun).where(TrainingRun.job_id == job).values(**run))
        if values:
            session.execute(update(Job).where(Job.id == job).values(**values))


def started(database: Database) -> Job:
    with database.reading() as session:
        return session.scalars(select(Job).where(Job.kind == JobKind.TRAIN)).one()


def fields(dataset: int, start: str, **more: object) -> dict[str, object]:
    return {"dataset": dataset, "start": start, "replay": 75, "seed": 1, "origins": "chosen", **more}


def test_the_form_shows_what_will_be_trained_on_and_begins_with_the_active_checkpoint(
    admin: Visitor, learnable: int, checkpoint: int
) -> None:
    page = " ".join(admin.get(f"/retrain?dataset={learnable}").text.split())
    assert "Harbour corrections@1" in page
    assert f"<dt>photos to learn from</dt><dd>{MINIMUM_PHOTOS}</dd>" in page
    assert "40 captions" in page
    assert "10 captions" in page
    first = page.partition('label="Go on from a checkpoint"')[2]
    assert first.startswith(f'><option value="checkpoint:{checkpoint}">starter-1 (active)')
    assert 'value="recipe:starter"' in page
    assert "Promote it by itself" in page


def test_only_admins_are_offered_promotion_by_the_gate(
    reviewer: Visitor, database: Database, learnable: int, collection: int
) -> None:
    join(database, collection, "bob")
    page = reviewer.get(f"/retrain?dataset={learnable}").text
    assert "Start retraining" in page
    assert "Promote it by itself" not in page
    answer = reviewer.submit("/retrain", fields(learnable, "recipe:starter", origin="edited", promote="y"))
    assert answer.status_code == 403


def test_somebody_elses_dataset_is_not_there(reviewer: Visitor, learnable: int) -> None:
    assert reviewer.get(f"/retrain?dataset={learnable}").status_code == 404
    assert "nothing to learn from yet" in reviewer.get("/retrain").text
    assert (
        reviewer.submit("/retrain", fields(learnable, "recipe:starter", origin="edited")).status_code == 404
    )


def join(database: Database, collection: int, name: str) -> None:
    with database.writing() as session:
        user = session.scalars(select(User).where(User.name == name)).one()
        collections.add_member(session, session.get_one(Collection, collection), user)


def test_the_started_job_carries_what_the_form_says(
    admin: Visitor, database: Database, learnable: int, checkpoint: int
) -> None:
    sent = fields(learnable, f"checkpoint:{checkpoint}", origin="edited", replay=50, seed=7, promote="y")
    answer = admin.submit("/retrain", sent)
    assert answer.status_code == 303
    job = started(database)
    assert answer.location == f"/jobs/{job.id}"
    assert job.checkpoint_id == checkpoint
    asked = {name: job.options[name] for name in ("replay", "seed", "promote", "origins", "recipe")}
    assert asked == {"replay": 0.5, "seed": 7, "promote": True, "origins": ["edited"], "recipe": None}
    page = admin.get(answer.location).text
    assert "Training on Harbour corrections@1" in page
    assert "goes on from starter-1" in page


def of_two_languages(database: Database, dataset_id: int) -> None:
    with database.writing() as session:
        dataset = session.get_one(Dataset, dataset_id)
        dataset.card = {**dataset.card, "languages": {"en": 20, "pt": 10, "pt-BR": 15}}


def test_the_language_is_asked_for_where_there_are_several(
    admin: Visitor, database: Database, learnable: int
) -> None:
    assert "Language to learn" not in admin.get(f"/retrain?dataset={learnable}").text
    of_two_languages(database, learnable)
    page = admin.get(f"/retrain?dataset={learnable}").text
    field = page.partition('name="language"')[2].partition("</select>")[0]
    assert re.findall(r'value="(\w+)">([^<]+)<', field) == [
        ("pt", "pt, 25 captions"),
        ("en", "en, 20 captions"),
    ]
    answer = admin.submit("/retrain", fields(learnable, "recipe:starter", origin="edited", language="en"))
    assert answer.status_code == 303
    assert started(database).options["language"] == "en"


@pytest.mark.parametrize(
    ("language", "why"), [("no tag", "give a tag such as en"), ("fr", "has no captions in fr")]
)
def test_a_language_that_cannot_be_learnt_is_refused_with_the_reason(
    admin: Visitor, database: Database, learnable: int, language: str, why: str
) -> None:
    of_two_languages(database, learnable)
    sent = fields(learnable, "recipe:starter", origin="edited", language=language)
    answer = admin.submit("/retrain", sent)
    assert answer.status_code == 422
    assert why in answer.text


def test_a_job_from_scratch_has_a_recipe_and_no_base(
    admin: Visitor, database: Database, learnable: int
) -> None:
    answer = admin.submit("/retrain", fields(learnable, "recipe:show_and_tell", origin="edited"))
    assert answer.status_code == 303
    job = started(database)
    assert (job.checkpoint_id, job.options["recipe"]) == (None, "show_and_tell")
    assert "from scratch, recipe show_and_tell" in admin.get(answer.location).text


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"origin": []}, "tick at least one"),
        ({"origin": "invented"}, "tick what the form offers"),
        ({"start": "checkpoint:999"}, "Not a valid choice"),
        ({"start": "recipe:../../secret"}, "Not a valid choice"),
        ({"replay": 99}, "from 0 to 95"),
        ({"seed": -1}, "from 0 on"),
    ],
)
def test_what_no_job_can_begin_with_is_refused_with_the_reason(
    admin: Visitor, learnable: int, changed: dict[str, object], why: str
) -> None:
    answer = admin.submit("/retrain", fields(learnable, "recipe:starter", origin="edited") | changed)
    assert answer.status_code == 422
    assert why in answer.text


def test_a_dataset_that_is_too_small_says_so_instead_of_a_form(
    admin: Visitor,
    database: Database,
    settings: Settings,
    new_items: Callable[[int], list[int]],
    checkpoint: int,
) -> None:
    ids = new_items(3)
    with database.writing() as session:
        small = trained.frozen(session, open_blobs(settings), ids, "Small").id
    page = admin.get(f"/retrain?dataset={small}").text
    assert "This dataset cannot be trained on: Small@1 has 3 photos" in page
    assert "Start retraining" not in page
    assert admin.submit("/retrain", fields(small, "recipe:starter", origin="edited")).status_code == 409


def test_a_collection_leads_to_its_own_newest_dataset(
    admin: Visitor, database: Database, learnable: int, collection: int
) -> None:
    page = admin.get(f"/retrain?collection={collection}").text
    assert f'<option value="{learnable}" selected>' in page
    assert "/retrain" not in admin.get(f"/collections/{collection}").text
    with database.writing() as session:
        session.execute(update(Item).values(review_state=ReviewState.ACCEPTED))
    assert f'href="/retrain?collection={collection}"' in admin.get(f"/collections/{collection}").text


def test_the_page_of_a_train_job_tells_stage_time_left_and_data(admin: Visitor, train_job: int) -> None:
    page = " ".join(admin.get(f"/jobs/{train_job}").text.split())
    assert "Training, 2 of at most 12 epochs, about 9 min left" in page
    assert '<progress class="big" max="12" value="2"' in page
    assert '<dd data-data="new">80</dd>' in page
    assert '<dd data-data="replay">240</dd>' in page
    assert "Waiting for a worker" in page
    assert "2 of at most 12 epochs are done" in page
    assert 'style="' not in page


def test_curves_say_what_they_show_and_have_their_numbers_in_a_table(admin: Visitor, train_job: int) -> None:
    page = admin.get(f"/jobs/{train_job}").text
    titles = [title.partition(",")[0] for title in curves(page)]
    assert titles == ["Loss", "Loss of each epoch", "CIDEr on the validation photos"]
    assert "The line ends with 0.360 at epoch 2." in page
    assert '<th scope="row">2</th><td>2.7000</td><td>0.3600</td>' in page


def test_a_caption_worker_does_not_serve_train_jobs(
    admin: Visitor, database: Database, train_job: int
) -> None:
    with database.writing() as session:
        workers.register(session, name="captions", device="cpu", version="0")
    assert "Waiting for a worker" in admin.get(f"/jobs/{train_job}").text
    with database.writing() as session:
        workers.register(session, name="trains", device="cpu", version="0", queue="train")
    assert "Waiting for a worker" not in admin.get(f"/jobs/{train_job}").text


def test_a_train_job_is_paused_resumed_and_cancelled(admin: Visitor, train_job: int) -> None:
    for action, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        assert admin.submit(f"/jobs/{train_job}/{action}", {}).status_code == 303
        assert f'data-job="state">{state}<' in admin.get(f"/jobs/{train_job}").text


def test_cancelling_says_what_becomes_of_the_training(admin: Visitor, train_job: int) -> None:
    page = " ".join(admin.get(f"/jobs/{train_job}/cancel").text.split())
    assert "2 of at most 12 epochs are done. What it learnt so far makes no checkpoint" in page


def test_a_finished_job_leads_to_its_checkpoint_and_tells_the_verdict(
    admin: Visitor, database: Database, train_job: int, learnable: int, checkpoint: int
) -> None:
    with database.writing() as session:
        made = trained.trained(
            session, session.get_one(Dataset, learnable), session.get_one(Checkpoint, checkpoint), "harbour-1"
        ).id
    change(database, train_job, {"checkpoint_id": made, "stage": "done"}, state=JobState.DONE, done=9)
    page = " ".join(admin.get(f"/jobs/{train_job}").text.split())
    assert f'<a href="/checkpoints/{made}">harbour-1</a>' in page
    assert "Cannot tell" in page
    assert "9 epochs of at most 12: stopped early" in page
    assert "Compare and promote" in page


def test_the_list_of_jobs_tells_training_and_measuring_in_their_own_words(
    admin: Visitor, database: Database, train_job: int, checkpoint: int
) -> None:
    with database.writing() as session:
        trained.training(session, None, None, checkpoint_id=checkpoint, stage="evaluating")
    page = " ".join(admin.get("/jobs").text.split())
    assert "Train · Harbour" in page
    assert "2 of 12 epochs" in page
    assert "Measure" in page
    assert "evaluating" in page


def test_log_and_tensorboard_files_are_downloads(
    admin: Visitor, database: Database, settings: Settings, train_job: int
) -> None:
    assert admin.get(f"/jobs/{train_job}/log.jsonl").status_code == 404
    assert "log.jsonl" not in admin.get(f"/jobs/{train_job}").text
    row = json.dumps(trained.EPOCHS[0]) + "\n"
    packed = trained.files(log__jsonl=row, tensorboard_slash_events="scalars", state__safetensors="secret")
    change(database, train_job, {"files_sha256": open_blobs(settings).put(packed)})
    assert f"/jobs/{train_job}/log.jsonl" in admin.get(f"/jobs/{train_job}").text
    answer = admin.get(f"/jobs/{train_job}/log.jsonl")
    assert answer.text == row
    assert "attachment" in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(admin.get(f"/jobs/{train_job}/tensorboard.zip").data)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"tensorboard/events": b"scalars"}


def test_files_of_somebody_elses_training_are_not_there(reviewer: Visitor, train_job: int) -> None:
    for address in (
        f"/jobs/{train_job}",
        f"/jobs/{train_job}/log.jsonl",
        f"/jobs/{train_job}/tensorboard.zip",
    ):
        assert reviewer.get(address).status_code == 404
