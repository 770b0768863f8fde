"""Commands on golden sets: draw photos at random, freeze what was written or imported, list, give up."""

import json
from typing import Any

import click
from sqlalchemy.orm import Session

from catalog import collections, golden_sets
from catalog.blobs import open_blobs
from catalog.commands import opened
from catalog.dataset_commands import filter_of, filter_option, json_option, tell_frozen
from catalog.errors import InvalidInput
from catalog.schema import GoldenSet
from catalog.settings import load_settings


@click.group("golden")
def golden_group() -> None:
    """Draw golden sets and freeze them; they are captioned blind in the dashboard."""


@golden_group.command("draw")
@click.argument("collection")
@click.argument("name")
@click.option("--size", type=click.IntRange(1, golden_sets.MOST_PHOTOS), default=200, show_default=True)
@click.option(
    "--references-each",
    type=click.IntRange(1, golden_sets.MOST_REFERENCES),
    default=1,
    show_default=True,
    help="Captions of each photo, each by another person.",
)
@click.option("--language", default="en", show_default=True)
@filter_option
@json_option
def golden_draw(
    collection: str, name: str, size: int, references_each: int, language: str, wanted: str, as_json: bool
) -> None:
    """Draw photos of COLLECTION at random as the golden set NAME. They are never learned from."""
    with opened(load_settings()).writing() as session:
        golden_set = golden_sets.draw(
            session,
            collections.by_name(session, collection),
            name=name,
            size=size,
            references_each=references_each,
            language=language,
            wanted=filter_of(wanted),
            user=None,
        )
        told = _described(session, golden_set)
    click.echo(json.dumps(told) if as_json else _in_a_line(told))


@golden_group.command("freeze")
@click.argument("collection")
@click.argument("name")
@click.option(
    "--from-imported", is_flag=True, help="Freeze captions of people that an import brought, unchanged since."
)
@click.option("--unfinished", is_flag=True, help="Freeze what is there, though photos lack references.")
@filter_option
@json_option
def golden_freeze(
    collection: str, name: str, from_imported: bool, unfinished: bool, wanted: str, as_json: bool
) -> None:
    """Freeze the golden set NAME of COLLECTION as a dataset, by which captioners are judged."""
    if wanted and not from_imported:
        raise InvalidInput("a golden set was filtered when it was drawn; give --filter with --from-imported")
    settings = load_settings()
    database, blobs = opened(settings), open_blobs(settings)
    with database.reading() as session:
        found = collections.by_name(session, collection)
        golden_set = None if from_imported else golden_sets.by_name(session, found, name)
    if golden_set:
        frozen = golden_sets.freeze(database, blobs, golden_set.id, unfinished=unfinished)
    else:
        frozen = golden_sets.freeze_imported(database, blobs, found.id, name, wanted=filter_of(wanted))
    with database.reading() as session:
        tell_frozen(session, frozen, as_json=as_json)


@golden_group.command("delete")
@click.argument("collection")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def golden_delete(collection: str, name: str, yes: bool) -> None:
    """Give up the golden set NAME of COLLECTION, not frozen yet; its photos may be learned from again."""
    if not yes:
        click.confirm(f"Give up the golden set {name!r} of {collection!r}?", abort=True)
    with opened(load_settings()).writing() as session:
        found = collections.by_name(session, collection)
        golden_sets.remove(session, golden_sets.by_name(session, found, name))
    click.echo(f"the golden set {name!r} is given up")


@golden_group.command("list")
@click.argument("collection")
@json_option
def golden_list(collection: str, as_json: bool) -> None:
    """List the golden sets of COLLECTION, newest first, with how far they are."""
    with opened(load_settings()).reading() as session:
        found = golden_sets.of_collection(session, collections.by_name(session, collection))
        told = [_described(session, golden_set) for golden_set in found]
    if as_json:
        click.echo(json.dumps(told))
        return
    for one in told:
        click.echo(_in_a_line(one))


def _described(session: Session, golden_set: GoldenSet) -> dict[str, Any]:
    stands = golden_sets.standing(session, golden_set)
    return {
        "id": golden_set.id,
        "name": golden_set.name,
        "language": golden_set.language,
        "references_each": golden_set.references_each,
        "photos": stands.items,
        "done": stands.done,
        "written": stands.written,
        "wanted": stands.wanted,
        "people": dict(stands.people),
        "dataset_id": golden_set.dataset_id,
    }


def _in_a_line(told: dict[str, Any]) -> str:
    frozen = ", frozen" if told["dataset_id"] else ""
    return (
        f"{told['name']}: {told['photos']} photos, {told['written']} of {told['wanted']} references written"
        f"{frozen}"
    )
