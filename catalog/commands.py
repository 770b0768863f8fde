"""Commands on the catalog, all in the calling process: import, delete, backup and doctor."""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import click
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from catalog import (
    backup,
    checkpoints,
    collections,
    ingest,
    items,
    near_duplicates,
)
from catalog.blobs import open_blobs
from catalog.database import Database, migrate
from catalog.doctor import Doctor
from catalog.errors import Conflict, NotFound
from catalog.imports import reports
from catalog.imports.arrivals import arriving
from catalog.imports.fetching import Fetcher
from catalog.near_duplicates import Group
from catalog.object_storage import Bucket, S3Place
from catalog.queue import Queue
from catalog.schema import Collection, Item
from catalog.settings import Settings, load_settings
from catalog.troubles import Trouble, nobody_works, troubles
from pictures.sandbox import DecodingProcess


def opened(settings: Settings) -> Database:
    """The database, checked to be of this release; SQLite is migrated on the way."""
    database = Database(settings.database_url)
    if database.is_sqlite:
        settings.prepare_home()
        migrate(settings.database_url)
    database.check_schema()
    return database


@click.command("migrate")
@click.pass_obj
def migrate_command(installation: Any) -> None:
    """Bring the database to this release and register the shipped checkpoint."""
    settings = load_settings()
    settings.prepare_home()
    migrate(settings.database_url)
    database = Database(settings.database_url)
    checkpoints.ensure_starter(database, open_blobs(settings), installation.starter)
    click.echo(f"{make_url(settings.database_url).render_as_string()} is ready")


@click.command("import")
@click.argument("collection")
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--captions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Captions of the photos, where the folder has several such files or none.",
)
@click.option(
    "--captioned-by",
    metavar="MODEL",
    help="A model, with its version, whose captions they are; without it they are people's.",
)
@click.option(
    "--reference", is_flag=True, help="Leave the originals where they are; only small renditions are stored."
)
@click.option(
    "--report",
    type=click.File("w", encoding="utf-8", lazy=True),
    help="A CSV that tells what became of each file.",
)
def import_command(
    collection: str,
    sources: tuple[str, ...],
    captions: Path | None,
    captioned_by: str | None,
    reference: bool,
    report: TextIO | None,
) -> None:
    """Import photos of folders, zips, files, s3://BUCKET/PREFIX or lists of URLs into COLLECTION.

    It is made when it is new. Captions among them come along: captions.jsonl, captions.csv, COCO, Karpathy,
    Flickr8k, imagefolder, or a text beside each photo.
    """
    from tqdm import tqdm

    settings = load_settings()
    database = opened(settings)
    arrivals = [
        arriving(
            _source(source, settings),
            staging=settings.cache,
            captions=captions,
            captioned_by=captioned_by,
            reference=reference,
            fetcher=Fetcher(settings.url_imports) if settings.url_imports else None,
        )
        for source in sources
    ]
    files = [file for arrival in arrivals for file in arrival.files]
    collection_id = _collection_id(database, collection)
    table = reports.Table(report) if report else None
    left_out = [file for arrival in arrivals for file in arrival.left_out]
    stored = 0
    with DecodingProcess(max_pixels=settings.max_pixels) as decoder:
        imported = ingest.ingest(database, open_blobs(settings), decoder, collection_id, files)
        try:
            for file in tqdm(imported, total=len(files), unit="photo", disable=not sys.stderr.isatty()):
                stored += file.stored
                if not file.stored:
                    left_out.append(file)
                elif table:
                    table.add(file)
        finally:
            # Also where it ends early, for want of room or by Ctrl+C: the next import goes on from here.
            for file in left_out:
                click.echo(f"{file.path}: {file.status}: {file.detail}", err=True)
                if table:
                    table.add(file)
            click.echo(f"{stored} of {len(files)} files are in {collection!r}")
    if left_out:
        sys.exit(1)


@click.command("doctor")
@click.option("--repair", is_flag=True, help="Repair what can be repaired.")
@click.option("--quick", is_flag=True, help="Do not read every stored file to compare its checksum.")
def doctor_command(repair: bool, quick: bool) -> None:
    """Look for damaged files, wrong counters, and whatever keeps jobs from going on."""
    settings = load_settings()
    database, blobs = opened(settings), open_blobs(settings)
    found = left = 0
    with DecodingProcess(max_pixels=settings.max_pixels) as decoder:
        doctor = Doctor(database=database, blobs=blobs, decoder=decoder, repair=repair, every_byte=not quick)
        for finding in doctor.findings():
            found, left = found + 1, left + (not finding.repaired)
            click.echo(f"{finding.problem}: {finding.remedy}")
    for trouble in _troubles(settings, database):
        found, left = found + 1, left + 1
        click.echo(f"{trouble.what} {trouble.remedy}")
    click.echo(f"{found} problem{'s' if found != 1 else ''} found, {found - left} repaired")
    if left:
        sys.exit(1)


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup_command(file: Path) -> None:
    """Write the database and all stored files into FILE, a tar, while everything goes on running."""
    settings = load_settings()
    database = opened(settings)
    missing = backup.back_up(database, open_blobs(settings), file)
    for key in missing:
        click.echo(f"blob {key} is missing or damaged, and so it is in the backup", err=True)
    click.echo(f"{file} is written")
    if left_out := backup.originals_left_out(database):
        click.echo(
            f"originals that were left where they are: {left_out}; they are not in it, back them up, too"
        )
    if missing:
        sys.exit(1)


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore_command(file: Path) -> None:
    """Fill an empty installation from FILE, which `recaption backup` wrote."""
    settings = load_settings()
    settings.prepare_home()
    count = backup.restore(Database(settings.database_url), open_blobs(settings), file)
    click.echo(f"the database and {count} stored files are restored")


@click.command("delete")
@click.argument("target", metavar="COLLECTION|ITEM")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete_command(target: str, yes: bool) -> None:
    """Delete a collection by name, or an item by id, with the pictures that nothing else uses."""
    settings = load_settings()
    database = opened(settings)
    with database.reading() as session:
        found = _target(session, target)
        kind, name = ("collection", found.name) if isinstance(found, Collection) else ("item", found.path)
    if not yes:
        click.confirm(f"Delete the {kind} {name!r} with its captions?", abort=True)
    with database.writing() as session:
        found = _target(session, target)
        if isinstance(found, Collection):
            keys = collections.remove(session, found, user=None)
        else:
            keys = items.remove(session, found, user=None)
    removal = ingest.remove_blobs(database, open_blobs(settings), keys)
    click.echo(f"the {kind} {name!r} is deleted; {removal}")


@click.command("duplicates")
@click.argument("collection")
@click.option("--json", "as_json", is_flag=True)
def duplicates_command(collection: str, as_json: bool) -> None:
    """List the photos of COLLECTION that look alike and that nobody has kept yet. Changes nothing."""
    with opened(load_settings()).reading() as session:
        found = near_duplicates.every(session, collections.by_name(session, collection))
        groups = [_described_group(group) for group in found]
    if as_json:
        click.echo(json.dumps(groups))
        return
    for group in groups:
        for item in group["items"]:
            marks = [word for word in ("identical", "kept") if item[word]]
            told = f"{item['width']} x {item['height']} {item['format']}, {item['bytes']} bytes"
            click.echo(f"{item['id']:>8}  {', '.join([item['path'], told, *marks])}")
        click.echo()
    click.echo(f"{len(groups)} group{'s' if len(groups) != 1 else ''} of near-duplicates in {collection!r}")


def _troubles(settings: Settings, database: Database) -> list[Trouble]:
    """What keeps jobs from going on, as the jobs page says it, with a look at the broker."""
    queue = Queue(settings)
    queue.probe()
    with database.reading() as session:
        return [*troubles(session, settings, database, queue), *nobody_works(session)]


def _target(session: Session, target: str) -> Collection | Item:
    """A collection of that name or, for a number, an item of that id; Conflict when it could be both."""
    collection = item = None
    with suppress(NotFound):
        collection = collections.by_name(session, target)
    if target.isascii() and target.isdecimal():
        with suppress(NotFound):
            item = items.get(session, int(target), viewer=None)
    if collection and item:
        raise Conflict(
            f"{target!r} is both a collection and the item {item.path!r}; rename the collection, or delete "
            "what you mean in the dashboard"
        )
    found = collection or item
    if found is None:
        raise NotFound(f"{target!r} is neither the name of a collection nor the id of an item")
    return found


def _source(given: str, settings: Settings) -> Path | Bucket:
    return Bucket(S3Place.parse(given), settings.s3) if given.startswith("s3://") else Path(given)


def _collection_id(database: Database, name: str) -> int:
    """The collection of this name, made where there is none yet."""
    # Another import may make it in the same moment; then it is there at the second look.
    with suppress(IntegrityError), database.writing() as session:
        with suppress(NotFound):
            return collections.by_name(session, name).id
        return collections.create(session, name=name, owner=None).id
    with database.reading() as session:
        return collections.by_name(session, name).id


def _described_group(group: Group) -> dict[str, Any]:
    found = [
        {
            "id": twin.item.id,
            "path": twin.item.path,
            "external_id": twin.item.external_id,
            "sha256": twin.item.image.sha256,
            "format": twin.item.image.format,
            "bytes": twin.item.image.bytes,
            "width": twin.item.image.width,
            "height": twin.item.image.height,
            "identical": twin.identical,
            "kept": twin.item.twins_kept,
        }
        for twin in group.twins
    ]
    return {"id": group.id, "items": found}
