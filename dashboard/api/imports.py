"""The API of imports: begun, watched, tried again. Their files come by `dashboard.api.tus`."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from catalog import collections, jobs, uploads
from catalog.imports import reports
from catalog.imports.claims import retry as retry_failed
from catalog.imports.reports import ReportPage, UploadPage
from catalog.schema import Job, JobKind
from dashboard.api.job_schemas import JobOut
from dashboard.api.schemas import ImportIn, ReportsOut, ReportsQuery, UploadsOut, UploadsQuery
from dashboard.downloads import spooled
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import commit, current_session

blueprint = APIBlueprint("api_imports", __name__, url_prefix="/api/v1", tag="Imports")


def asked_for(import_id: int) -> Job:
    return jobs.get(current_session(), import_id, viewer=viewer(), kind=JobKind.IMPORT)


@blueprint.post("/collections/<int:collection_id>/imports")
@blueprint.input(ImportIn)
@blueprint.output(JobOut, status_code=201)
def create(collection_id: int, json_data: dict[str, Any]) -> Job:
    """Begin an import; its files follow by the tus protocol at /api/v1/collections/ID/tus."""
    session = current_session()
    collection = collections.get(session, collection_id, viewer=viewer())
    job = uploads.start_import(session, collection, user=viewer(), **json_data)
    commit()
    return job


@blueprint.post("/imports/<int:import_id>/close")
@blueprint.output(JobOut)
def close(import_id: int) -> Job:
    """Say that no more files will come: the import ends with the last one that is here."""
    job = uploads.own(current_session(), import_id, user=viewer())
    uploads.close(current_session(), job)
    commit()
    services().importer.wake()
    return job


@blueprint.post("/imports/<int:import_id>/retry")
@blueprint.output(JobOut)
def retry(import_id: int) -> Job:
    """Import again what failed, from the bytes that are still here."""
    job = uploads.own(current_session(), import_id, user=viewer())
    retry_failed(current_session(), job)
    commit()
    services().importer.wake()
    return job


@blueprint.get("/imports/<int:import_id>/files")
@blueprint.input(ReportsQuery, location="query")
@blueprint.output(ReportsOut)
def files(import_id: int, query_data: dict[str, Any]) -> ReportPage:
    """List what became of each file; `after` continues."""
    return reports.page(current_session(), asked_for(import_id), **query_data)


@blueprint.get("/imports/<int:import_id>/uploads")
@blueprint.input(UploadsQuery, location="query")
@blueprint.output(UploadsOut)
def list_uploads(import_id: int, query_data: dict[str, Any]) -> UploadPage:
    """List how much is here of each file, to go on after a break; `after` continues."""
    return reports.uploads(current_session(), asked_for(import_id), **query_data)


@blueprint.get("/imports/<int:import_id>/report.csv")
@blueprint.doc(responses={200: "The file."})
def report(import_id: int) -> Response:
    """Download what became of each file."""
    job = asked_for(import_id)
    return spooled(
        lambda stream: reports.write_csv(current_session(), job, stream),
        name=f"import-{job.id}.csv",
        mimetype="text/csv",
    )
