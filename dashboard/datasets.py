"""Pages of datasets: the list, the card of one with its items, what differs from another version, its end."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from catalog import accounts, collections, dataset_differences, datasets, frozen_items
from catalog.dataset_differences import Change
from catalog.errors import DamagedManifest, MissingBlob
from catalog.exports.datasets import DATASET_FORMATS
from catalog.frozen_items import Page
from catalog.ingest import remove_blobs
from catalog.manifests import FrozenCaption
from catalog.schema import Dataset
from dashboard.downloads import dataset_response
from dashboard.forms import Form
from dashboard.paging import wanted_place
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import commit, current_session

blueprint = Blueprint("datasets", __name__)


def asked_for(dataset_id: int) -> Dataset:
    return datasets.get(current_session(), dataset_id, viewer=viewer())


@blueprint.get("/datasets")
def index() -> ResponseReturnValue:
    session = current_session()
    found = datasets.newest(session, viewer=viewer(), after=wanted_place())
    of_collections = [dataset.collection_id for dataset in found.rows if dataset.collection_id]
    names = collections.names(session, of_collections)
    return render_template("datasets.html", datasets=found, names=names)


@blueprint.get("/datasets/<int:dataset_id>")
def show(dataset_id: int) -> ResponseReturnValue:
    session, dataset = current_session(), asked_for(dataset_id)
    page, damage = _items(dataset)
    return render_template(
        "dataset.html",
        dataset=dataset,
        collection=_collection_name(dataset),
        who=accounts.get(session, dataset.user_id).name if dataset.user_id else None,
        versions=datasets.versions(session, dataset),
        page=page,
        damage=damage,
        place=wanted_place() or 0,
        formats=DATASET_FORMATS,
        may_delete=datasets.may_remove(dataset, viewer()),
    )


@blueprint.get("/datasets/<int:dataset_id>/differences")
def differences(dataset_id: int) -> ResponseReturnValue:
    """What changed from the version that the address names, or the one before, to this one."""
    dataset = asked_for(dataset_id)
    versions = datasets.versions(current_session(), dataset)
    against_id = request.args.get("against", type=int)
    before = [one.id for one in versions if one.version < dataset.version]
    older = asked_for(against_id or max(before, default=dataset.id))
    found = dataset_differences.difference(services().blobs, older, dataset)
    found = dataset_differences.shown(current_session(), found, viewer())
    return render_template(
        "dataset_differences.html",
        dataset=dataset,
        older=older,
        versions=versions,
        found=found,
        pairs=_pairs,
    )


@blueprint.get("/datasets/<int:dataset_id>/download")
def download(dataset_id: int) -> ResponseReturnValue:
    return dataset_response(
        asked_for(dataset_id),
        request.args.get("format", "jsonl"),
        images="images" in request.args,
        originals="originals" in request.args,
    )


@blueprint.get("/datasets/<int:dataset_id>/delete")
def confirm_delete(dataset_id: int) -> ResponseReturnValue:
    return render_template("delete_dataset.html", dataset=asked_for(dataset_id), form=Form())


@blueprint.post("/datasets/<int:dataset_id>/delete")
def delete(dataset_id: int) -> ResponseReturnValue:
    Form().require_valid()
    dataset = asked_for(dataset_id)
    name = f"{dataset.name}@{dataset.version}"
    keys = datasets.remove(current_session(), dataset, user=viewer())
    commit()
    flash(f"“{name}” is deleted; {remove_blobs(services().database, services().blobs, keys)}.")
    return redirect(url_for(".index"), 303)


def _pairs(change: Change) -> list[tuple[FrozenCaption | None, FrozenCaption | None]]:
    """The captions of a photo before and after, side by side; one that came or went stands alone."""
    # References of golden sets have no ids: their order tells which is which.
    before = {caption.id or -place: caption for place, caption in enumerate(change.before)}
    after = {caption.id or -place: caption for place, caption in enumerate(change.after)}
    return [(before.get(key), after.get(key)) for key in {**before, **after}]


def _items(dataset: Dataset) -> tuple[Page | None, str]:
    """A page of the items; or none, and what is wrong with the manifest."""
    after = max(0, wanted_place() or 0)
    try:
        return frozen_items.page(
            current_session(), services().blobs, dataset, viewer=viewer(), after=after
        ), ""
    except (DamagedManifest, MissingBlob) as error:
        return None, str(error)


def _collection_name(dataset: Dataset) -> str | None:
    if dataset.collection_id is None:
        return None
    return collections.names(current_session(), [dataset.collection_id]).get(dataset.collection_id)
