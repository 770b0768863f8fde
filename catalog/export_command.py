"""The command that writes a frozen dataset, or the captions of a collection, to files."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from catalog import collections, datasets, exports
from catalog.blobs import open_blobs
from catalog.commands import opened
from catalog.errors import Conflict, InvalidInput, NotFound
from catalog.exports.datasets import DATASET_FORMATS, export_dataset
from catalog.schema import Collection, Dataset
from catalog.settings import Settings, load_settings


@click.command("export")
@click.argument("name", metavar="COLLECTION|DATASET")
@click.option("--format", "format_", type=click.Choice(DATASET_FORMATS), required=True)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR")
@click.option("--originals", is_flag=True, help="The originals as they came, in place of renditions.")
@click.option("--no-images", is_flag=True, help="Captions alone.")
@click.option(
    "--sidecars",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the photos' XMP sidecars lie; xmp merges the captions into copies of them.",
)
@click.option("--collection", "is_collection", is_flag=True, help="The name is that of a collection.")
def export_command(
    name: str,
    format_: str,
    output: Path,
    originals: bool,
    no_images: bool,
    sidecars: Path | None,
    is_collection: bool,
) -> None:
    """Write a frozen dataset, or the captions of a collection as they are now, into the folder DIR.

    NAME is the newest version of a dataset, NAME@3 a certain one; DIR must be new or empty. A collection is
    exported without images, as jsonl or csv.
    """
    settings = load_settings()
    database = opened(settings)
    with database.reading() as session:
        found = _found(session, name, is_collection=is_collection)
        if isinstance(found, Collection):
            _refuse_for_collections(name, format_, originals or no_images or sidecars is not None)
            path = exports.export_to(session, found, format_, output)
    if isinstance(found, Dataset):
        pictures = {"images": not no_images, "originals": database if originals else None}
        path = _export(settings, found, format_, output, sidecars=sidecars, **pictures)
    click.echo(f"{path} is written")


def _export(settings: Settings, dataset: Dataset, format: str, output: Path, **options: Any) -> Path:
    """Export with a bar where somebody looks."""
    from tqdm import tqdm

    disabled = not options["images"] or not sys.stderr.isatty()
    with tqdm(total=dataset.images, unit="photo", disable=disabled) as bar:
        return export_dataset(open_blobs(settings), dataset, format, output, told=bar.update, **options)


def _found(session: Session, name: str, *, is_collection: bool) -> Collection | Dataset:
    """What a name stands for. Raises NotFound, and Conflict where it is both."""
    if is_collection:
        return collections.by_name(session, name)
    collection = dataset = None
    with suppress(NotFound):
        collection = collections.by_name(session, name)
    with suppress(NotFound):
        dataset = datasets.by_name(session, name)
    if collection and dataset:
        raise Conflict(
            f"{name!r} is both a collection and a dataset; write {datasets.address(dataset)!r} for the "
            "dataset, or add --collection"
        )
    if (found := collection or dataset) is None:
        raise NotFound(f"{name!r} is neither the name of a collection nor of a dataset")
    return found


def _refuse_for_collections(name: str, format: str, about_images: bool) -> None:
    if format not in exports.FORMATS:
        known = " or ".join(exports.FORMATS)
        raise InvalidInput(
            f"{name!r} is a collection and can be exported as {known}; freeze it to export it as {format}"
        )
    if about_images:
        raise InvalidInput(
            f"{name!r} is a collection, of which captions alone are exported; freeze it to export its "
            "images, or leave out --originals, --no-images and --sidecars"
        )
