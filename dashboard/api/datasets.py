"""The API of datasets: frozen, listed, compared, read, downloaded, deleted."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from catalog import dataset_differences, datasets, frozen_items
from catalog.filters import ItemFilter
from catalog.ingest import remove_blobs
from catalog.manifests import FrozenItem
from catalog.pages import Listing
from catalog.schema import Dataset
from dashboard.api.dataset_schemas import (
    DatasetIn,
    DatasetOut,
    DatasetsQuery,
    DifferencesOut,
    DifferencesQuery,
    DownloadQuery,
    FrozenItemOut,
    FrozenItemsQuery,
    FrozenOut,
)
from dashboard.api.schemas import NEXT_PAGE
from dashboard.downloads import dataset_response
from dashboard.freezing import frozen
from dashboard.paging import Answer, linked
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import commit, current_session

blueprint = APIBlueprint("api_datasets", __name__, url_prefix="/api/v1/datasets", tag="Datasets")


def asked_for(dataset_id: int) -> Dataset:
    return datasets.get(current_session(), dataset_id, viewer=viewer())


@blueprint.get("")
@blueprint.input(DatasetsQuery, location="query")
@blueprint.output(DatasetOut(many=True))
@blueprint.doc(responses=NEXT_PAGE)
def listing(query_data: dict[str, Any]) -> Answer[Dataset]:
    """List the datasets that you may see, newest first; the Link header leads to the next page."""
    return linked(datasets.newest(current_session(), viewer=viewer(), **query_data))


@blueprint.post("")
@blueprint.input(DatasetIn)
@blueprint.output(FrozenOut, status_code=201)
def freeze(json_data: dict[str, Any]) -> dict[str, Any]:
    """Freeze the accepted captions of a filter as the next version of a name.

    Where nothing changed since the newest version, the answer is that one.
    """
    wanted = ItemFilter.read(json_data["filter"])
    made = frozen(json_data["collection_id"], json_data["name"], wanted)
    return {"dataset": asked_for(made.dataset_id), "is_new": made.is_new}


@blueprint.get("/<int:dataset_id>")
@blueprint.output(DatasetOut)
def show(dataset_id: int) -> Dataset:
    """Show a dataset with its card."""
    return asked_for(dataset_id)


@blueprint.get("/<int:dataset_id>/items")
@blueprint.input(FrozenItemsQuery, location="query")
@blueprint.output(FrozenItemOut(many=True))
@blueprint.doc(responses=NEXT_PAGE)
def list_items(dataset_id: int, query_data: dict[str, int]) -> Answer[FrozenItem]:
    """List what was frozen, item by item; the Link header leads to the next page.

    Without the captions of photos that you still have to caption blind for a golden set.
    """
    session, dataset = current_session(), asked_for(dataset_id)
    page = frozen_items.page(session, services().blobs, dataset, viewer=viewer(), **query_data)
    return linked(Listing([shown.item for shown in page.rows], page.after))


@blueprint.get("/<int:dataset_id>/differences")
@blueprint.input(DifferencesQuery, location="query")
@blueprint.output(DifferencesOut)
def list_differences(dataset_id: int, query_data: dict[str, int]) -> Any:
    """List what was added, removed and changed since an older dataset, the first of each."""
    older = asked_for(query_data["against"])
    found = dataset_differences.difference(services().blobs, older, asked_for(dataset_id))
    return dataset_differences.shown(current_session(), found, viewer())


@blueprint.get("/<int:dataset_id>/download")
@blueprint.input(DownloadQuery, location="query")
@blueprint.doc(responses={200: "A zip."})
def export(dataset_id: int, query_data: dict[str, Any]) -> Response:
    """Download a dataset as a zip in one of the formats."""
    return dataset_response(asked_for(dataset_id), **query_data)


@blueprint.delete("/<int:dataset_id>")
@blueprint.output({}, status_code=204)
def delete(dataset_id: int) -> str:
    """Delete a dataset, and the stored files that nothing else holds. One that was trained on stays."""
    keys = datasets.remove(current_session(), asked_for(dataset_id), user=viewer())
    commit()
    remove_blobs(services().database, services().blobs, keys)
    return ""
