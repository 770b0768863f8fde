"""Commands on datasets: freeze, list, show, tell what differs, delete."""

import json
from typing import Any
from urllib.parse import parse_qsl

import click
from sqlalchemy.orm import Session

from catalog import collections, dataset_differences, datasets, freezing, ingest
from catalog.blobs import open_blobs
from catalog.commands import opened
from catalog.dataset_differences import Part
from catalog.errors import InvalidInput
from catalog.filters import FIELDS, ItemFilter
from catalog.manifests import FrozenCaption, FrozenItem
from catalog.schema import Dataset, DatasetKind
from catalog.settings import load_settings

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
filter_option = click.option(
    "--filter",
    "wanted",
    metavar="WORDS",
    default="",
    help="Only photos that an address of the dashboard finds, such as 'origin=edited&reviewer=ada'.",
)
FEW = 10  # rows told to people


@click.command("freeze")
@click.argument("collection")
@click.argument("dataset")
@filter_option
@json_option
def freeze_command(collection: str, dataset: str, wanted: str, as_json: bool) -> None:
    """Freeze the accepted captions of COLLECTION as the next version of DATASET.

    Where its newest version holds the same, nothing is made.
    """
    settings = load_settings()
    database, asked = opened(settings), filter_of(wanted)
    with database.reading() as session:
        collection_id = collections.by_name(session, collection).id
    frozen = datasets.freeze(database, open_blobs(settings), collection_id, dataset, wanted=asked)
    with database.reading() as session:
        tell_frozen(session, frozen, as_json=as_json)


@click.group("dataset")
def dataset_group() -> None:
    """List datasets, show them, tell what differs, delete them."""


@dataset_group.command("list")
@click.option("--kind", type=click.Choice([kind.value for kind in DatasetKind]))
@click.option("--after", metavar="ID", type=int, help="Go on with the datasets before this one.")
@json_option
def dataset_list(kind: str | None, after: int | None, as_json: bool) -> None:
    """List the versions of datasets, newest first, a hundred at a time."""
    with opened(load_settings()).reading() as session:
        of_kind = DatasetKind(kind) if kind else None
        told = [
            described(session, one)
            for one in datasets.newest(session, viewer=None, kind=of_kind, after=after).rows
        ]
    if as_json:
        click.echo(json.dumps(told))
        return
    for one in told:
        click.echo(f"{one['id']:>6}  {in_a_line(one)}")


@dataset_group.command("show")
@click.argument("name", metavar="NAME[@VERSION]")
@json_option
def dataset_show(name: str, as_json: bool) -> None:
    """Show the card of a dataset: counts, words, growth, who reviewed, what was left out."""
    with opened(load_settings()).reading() as session:
        told = described(session, datasets.by_name(session, name))
    if as_json:
        click.echo(json.dumps(told))
        return
    click.echo(in_a_line(told))
    for line in _lines("", {"filter": told["filter"], **told["card"]}):
        click.echo(line)
    click.echo(f"manifest: {told['manifest_sha256']}")


@dataset_group.command("diff")
@click.argument("older", metavar="OLDER")
@click.argument("newer", metavar="NEWER")
@json_option
def dataset_diff(older: str, newer: str, as_json: bool) -> None:
    """Tell which photos came, went and changed from OLDER to NEWER, each a NAME or NAME@VERSION."""
    settings = load_settings()
    with opened(settings).reading() as session:
        pair = datasets.by_name(session, older), datasets.by_name(session, newer)
    found = dataset_differences.difference(open_blobs(settings), *pair)
    changed = Part(
        found.changed.count,
        [
            {"path": one.item.path, "before": _texts(one.before), "after": _texts(one.after)}
            for one in found.changed.rows
        ],
    )
    parts = {"added": _paths(found.added), "removed": _paths(found.removed), "changed": changed}
    if as_json:
        click.echo(json.dumps({name: vars(part) for name, part in parts.items()}))
        return
    for name, part in parts.items():
        click.echo(f"{part.count} {name}")
        for row in part.rows[:FEW]:
            click.echo(f"  {row['path']}: {_change(row)}")


@dataset_group.command("delete")
@click.argument("name", metavar="NAME[@VERSION]")
@click.option("--yes", is_flag=True, help="Do not ask.")
def dataset_delete(name: str, yes: bool) -> None:
    """Delete a version of a dataset, the newest where none is named, unless something was trained on it."""
    settings = load_settings()
    database = opened(settings)
    with database.reading() as session:
        address = datasets.address(datasets.by_name(session, name))
    if not yes:
        click.confirm(f"Delete {address} with its scores?", abort=True)
    with database.writing() as session:
        keys = datasets.remove(session, datasets.by_name(session, address), user=None)
    click.echo(f"{address} is deleted; {ingest.remove_blobs(database, open_blobs(settings), keys)}")


def filter_of(words: str) -> ItemFilter:
    """The filter of the words of an address. Raises InvalidInput for a word that filters nothing."""
    said = dict(parse_qsl(words.rpartition("?")[2], keep_blank_values=True))
    if (unknown := sorted(said.keys() - set(FIELDS))) or (words and not said):
        raise InvalidInput(
            f"the filter {words[:80]!r} says {', '.join(unknown)[:80] or 'nothing'}; write it as "
            f"origin=edited&reviewer=ada, with words among {', '.join(FIELDS)}"
        )
    return ItemFilter.read(said)


def tell_frozen(session: Session, frozen: freezing.Frozen, *, as_json: bool) -> None:
    """Print what was frozen, or that it was frozen before."""
    told = described(session, datasets.get(session, frozen.dataset_id, viewer=None))
    if as_json:
        click.echo(json.dumps({**told, "is_new": frozen.is_new}))
        return
    click.echo(f"{in_a_line(told)}{'' if frozen.is_new else ' holds the same already; nothing was made'}")
    if left_out := {reason: number for reason, number in told["card"]["left_out"].items() if number}:
        click.echo(f"left out: {_counts(left_out)}")


def described(session: Session, dataset: Dataset) -> dict[str, Any]:
    """A dataset as JSON."""
    named = collections.names(session, [dataset.collection_id] if dataset.collection_id else [])
    return {
        "id": dataset.id,
        "name": dataset.name,
        "version": dataset.version,
        "kind": dataset.kind,
        "collection": named.get(dataset.collection_id or 0),
        "filter": dataset.filter,
        "images": dataset.images,
        "captions": dataset.captions,
        "card": dataset.card,
        "manifest_sha256": dataset.manifest_sha256,
        "created_at": dataset.created_at.isoformat(),
    }


def in_a_line(told: dict[str, Any]) -> str:
    splits = _counts(told["card"].get("images", {}))
    return (
        f"{told['name']}@{told['version']}: {told['images']} photos ({splits}), {told['captions']} captions, "
        f"{told['kind']}"
    )


def _lines(name: str, value: Any) -> list[str]:
    """A card as lines of text, one a number or a group of numbers."""
    if not isinstance(value, dict):
        return (
            [f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}"] if value else []
        )
    if value and all(isinstance(one, int | float | str) for one in value.values()):
        return [f"{name}: {_counts(value)}"]
    return [line for key, one in value.items() for line in _lines(f"{name} {key}".strip(), one)]


def _counts(counts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items())


def _paths(part: Part[FrozenItem]) -> Part[dict[str, Any]]:
    return Part(part.count, [{"path": one.path, "captions": _texts(one.captions)} for one in part.rows])


def _texts(captions: Any) -> list[str]:
    held: list[FrozenCaption] = list(captions)
    return [caption.text for caption in held]


def _change(row: dict[str, Any]) -> str:
    if "before" in row:
        return f"{' | '.join(row['before'])} -> {' | '.join(row['after'])}"
    return " | ".join(row["captions"])
