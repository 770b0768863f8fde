"""The form that starts retraining: what to learn from, what to go on from, and who decides in the end."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from catalog import checkpoints, dataset_languages, datasets, recipes, training_jobs
from catalog.errors import Conflict, InvalidInput, NotFound
from catalog.jobs import counted
from catalog.queue import TRAIN_QUEUE
from catalog.schema import Checkpoint, CheckpointState, Dataset, DatasetKind, Origin, Split
from dashboard.forms import RetrainingForm
from dashboard.progress import wake_workers
from dashboard.security import viewer
from dashboard.session import commit, current_session

CHECKPOINT, RECIPE = "checkpoint", "recipe"  # what a start is, before a colon and its id or name

blueprint = Blueprint("retraining", __name__)


@blueprint.get("/retrain")
def new() -> ResponseReturnValue:
    session = current_session()
    found = datasets.newest(session, viewer=viewer(), kind=DatasetKind.CURATED).rows
    dataset = _dataset(found)
    form = RetrainingForm()
    form.start.choices = starts()
    form.language.choices = _languages(dataset)
    if base := request.args.get("base", type=int):
        form.start.data = f"{CHECKPOINT}:{base}"
    return render_template(
        "retrain.html",
        datasets=found,
        dataset=dataset,
        refusal=_refusal(dataset),
        splits=_counted(dataset, "images"),
        origins=_counted(dataset, "origins").get(Split.TRAIN, {}),
        form=form,
    )


@blueprint.post("/retrain")
def start() -> ResponseReturnValue:
    session, form = current_session(), RetrainingForm()
    form.start.choices = starts()
    form.require_valid()
    base, recipe = _started_from(form.start.data)
    job = training_jobs.create(
        session,
        datasets.get(session, request.form.get("dataset", 0, type=int), viewer=viewer()),
        base=base,
        recipe=recipe,
        user=viewer(),
        replay=form.replay.data / 100,
        origins=_origins(),
        language=form.language.data,
        seed=form.seed.data,
        promote=form.promote.data,
    )
    commit()
    wake_workers(TRAIN_QUEUE)
    return redirect(url_for("jobs.show", job_id=job.id), 303)


def starts() -> dict[str, list[tuple[str, str]]]:
    """What training may begin with: checkpoints, the active one first, and recipes, each by its value."""
    found = sorted(checkpoints.newest(current_session()).rows, key=_is_not_active)
    named = [(f"{CHECKPOINT}:{one.id}", f"{one.name} ({one.state.value})") for one in found]
    scratch = [(f"{RECIPE}:{name}", name) for name in recipes.names()]
    return {"Go on from a checkpoint": named, "From scratch, by a recipe": scratch}


def _is_not_active(checkpoint: Checkpoint) -> bool:
    return checkpoint.state is not CheckpointState.ACTIVE


def _started_from(value: str) -> tuple[Checkpoint | None, str | None]:
    kind, _, name = value.partition(":")
    if kind == RECIPE:
        return None, name
    return checkpoints.get(current_session(), int(name)), None


def _origins() -> list[Origin] | None:
    """The origins that are ticked. Raises InvalidInput where none is."""
    ticked = request.form.getlist("origin")
    if "origins" in request.form and not ticked:
        raise InvalidInput("no origin is ticked, so there is nothing to learn from; tick at least one")
    try:
        return [Origin(word) for word in ticked] or None
    except ValueError as error:
        raise InvalidInput(f"{error}; tick what the form offers") from error


def _dataset(found: Sequence[Dataset]) -> Dataset | None:
    """The dataset that the address names, or the newest of a collection, or the newest of all."""
    session = current_session()
    if (dataset_id := request.args.get("dataset", type=int)) is not None:
        return datasets.get(session, dataset_id, viewer=viewer())
    collection_id = request.args.get("collection", type=int)
    of_it = (one for one in found if collection_id in (None, one.collection_id))
    return next(of_it, None)


def _counted(dataset: Dataset | None, what: str) -> dict[str, Any]:
    """Counts of the dataset's card, by split."""
    return dataset.card.get(what, {}) if dataset else {}


def _languages(dataset: Dataset | None) -> list[tuple[str, str]]:
    """What a run on the dataset may learn, the commonest first, with how many captions are in it."""
    found = dataset_languages.counts(dataset.card) if dataset else {}
    commonest = sorted(found, key=lambda one: (-found[one], one))
    return [(one, f"{one}, {counted(found[one], 'caption')}") for one in commonest]


def _refusal(dataset: Dataset | None) -> str:
    """Why a dataset cannot be trained on; nothing where it can."""
    if dataset is None:
        return ""
    try:
        training_jobs.require_data(current_session(), dataset)
    except (Conflict, NotFound) as error:
        return str(error)
    return ""
