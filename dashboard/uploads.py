"""Files that a browser sends, zips among them: staged on this disk, then imported one by one."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from werkzeug.datastructures import FileStorage

from catalog.errors import InvalidInput
from catalog.imports.arrivals import Arrival, arriving, is_zip
from catalog.imports.staging import PREFIX, staged_name
from catalog.ingest import FileReport, Incoming, ingest
from catalog.schema import User
from catalog.uploads import item_path
from dashboard.services import Services
from pictures.errors import PictureError, RefusedPicture
from pictures.sandbox import DecodingProcess


def import_uploads(
    services: Services, collection_id: int, uploads: Sequence[FileStorage], user: User | None
) -> list[FileReport]:
    """Import files that a user uploads into a collection, in transactions of their own; report on each."""
    settings = services.settings
    settings.cache.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(dir=settings.cache, prefix=PREFIX) as folder,
        DecodingProcess(max_pixels=settings.max_pixels) as decoder,
    ):
        reports: list[FileReport] = []
        for number, upload in enumerate(uploads):
            arrival = _arrival(_stage(upload, Path(folder, str(number))), settings.cache)
            reports += arrival.left_out
            reports += ingest(
                services.database, services.blobs, decoder, collection_id, arrival.files, user=user
            )
        return reports


def _arrival(file: Incoming, staging: Path) -> Arrival:
    """The file, or what a zip holds."""
    if not is_zip(file.source):
        return Arrival([file], [])
    try:
        return arriving(file.source, staging=staging)
    except (InvalidInput, PictureError) as error:
        return Arrival([], [FileReport(file.path, RefusedPicture.reason, None, str(error))])


def _stage(upload: FileStorage, folder: Path) -> Incoming:
    path = item_path(upload.filename)
    folder.mkdir()
    source = folder / staged_name(path)
    upload.save(source)
    return Incoming(source=source, path=path)
