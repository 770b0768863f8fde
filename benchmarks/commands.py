"""`recaption benchmark`: ratios that say how close this machine comes to what it could do."""

import json
import platform
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from benchmarks.record import Record
    from benchmarks.rows import Row

NAMES = ("captioning", "job", "equality", "transformers", "memory", "training", "review", "start")


@click.command()
@click.argument("name", required=False, type=click.Choice(NAMES))
@click.option("--photos", type=click.Path(path_type=Path, exists=True, file_okay=False), help="JPEG files.")
@click.option(
    "--list",
    "listed",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with a name a line: which of the --photos to take.",
)
@click.option("--count", type=click.IntRange(64), default=512, show_default=True, help="Photos to take.")
@click.option(
    "--many",
    type=click.IntRange(2000),
    default=20_000,
    show_default=True,
    help="Files for memory and review.",
)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--against",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A record (--json) of the same options; exit status 1 where a ratio fell by more than a quarter.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def benchmark(
    name: str | None,
    photos: Path | None,
    listed: Path | None,
    count: int,
    many: int,
    repeats: int,
    device: str,
    against: Path | None,
    as_json: bool,
) -> None:
    """Measure this machine: NAME alone, or everything. Figures are ratios; times hold on no other machine."""
    options = {
        "name": name,
        "photos": "given" if photos else "drawn",
        "count": count,
        "many": many,
        "repeats": repeats,
    }
    record = _record(against, options) if against else None
    names, machine = _names(name), _machine(device)
    with TemporaryDirectory(prefix="recaption-benchmark-") as folder:
        files = _photos(photos, listed, Path(folder), count)
        measure = partial(_measure_all, names, files, many, repeats, device)
        comparable = record is not None and record.is_of(machine)
        rows = record.hold(measure) if record and comparable else measure()
    if as_json:
        found = {"machine": machine, "options": options, "rows": [row.to_dict() for row in rows]}
        click.echo(json.dumps(found, indent=1))
    else:
        click.echo("\n".join(row.text() for row in rows))
    if record and not _holds(record, rows, machine):
        sys.exit(1)


def _names(name: str | None) -> Sequence[str]:
    """What to measure; `transformers` is no part of everything where it is not installed."""
    from benchmarks import hugging_face

    if name not in (None, "transformers") or hugging_face.is_installed():
        return [name] if name else NAMES
    missing = f"transformers is not installed; to measure against it, {hugging_face.INSTALL}"
    if name:
        raise click.ClickException(missing)
    click.echo(f"left out: {missing}", err=True)
    return [one for one in NAMES if one != "transformers"]


def _measure_all(
    names: Sequence[str], photos: Sequence[Path], many: int, repeats: int, device: str
) -> list["Row"]:
    return [row for name in names for row in _measure(name, photos, many, repeats, device)]


def _measure(name: str, photos: Sequence[Path], many: int, repeats: int, device: str) -> list["Row"]:
    from benchmarks import captioning, equality, hugging_face, job, memory, review, start, training

    match name:
        case "captioning":
            return captioning.measure(photos, device=device, repeats=repeats)
        case "job":
            return job.measure(photos, device=device, repeats=repeats)
        case "equality":
            return equality.measure(photos)
        case "transformers":
            return hugging_face.measure(photos, device=device, repeats=repeats)
        case "memory":
            return memory.measure(photos, many=many, device=device)
        case "training":
            return training.measure(device=device, repeats=repeats)
        case "review":
            return review.measure(photos, many=many)
        case _:
            return start.measure(repeats=repeats)


def _record(path: Path, options: dict[str, Any]) -> "Record":
    from benchmarks.record import Record

    record = Record.read(path)
    record.require(options)
    return record


def _holds(record: "Record", rows: Sequence["Row"], machine: dict[str, Any]) -> bool:
    """Whether no row is much worse than it was recorded; says of each how it is."""
    from benchmarks.record import of_machine

    if not record.is_of(machine):
        there, here = of_machine(record.machine), of_machine(machine)
        click.echo(f'nothing comparable is recorded: "{record.path}" is of {there}, this is {here}', err=True)
        return True
    found = record.compare(rows)
    for one in found:
        click.echo(one.text(), err=True)
    return not any(one.regressed for one in found)


def _photos(given: Path | None, listed: Path | None, folder: Path, count: int) -> list[Path]:
    """The first photos of a folder, or of those that are listed, or drawn ones."""
    if given is None and listed is None:
        from benchmarks.photos import draw_photos

        return draw_photos(folder, count, width=500, height=375)
    if given is None:
        raise click.UsageError("--list names photos of a folder; name the folder with --photos")
    if listed is not None:
        return _listed(given, listed)[:count]
    found = sorted(path for path in given.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))[:count]
    if not found:
        raise click.UsageError(f'there are no JPEG files in "{given}"')
    return found


def _listed(folder: Path, listed: Path) -> list[Path]:
    found = [folder / line for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
    if missing := [path for path in found if not path.is_file()]:
        raise click.UsageError(f'"{listed}" names "{missing[0].name}", which is not in "{folder}"')
    if not found:
        raise click.UsageError(f'"{listed}" names no photo')
    return found


def _machine(device: str) -> dict[str, Any]:
    import torch

    from model.devices import has_fast_bfloat16, pick_device

    on = pick_device(device)
    return {
        "device": torch.cuda.get_device_name(on) if on.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "fast_bfloat16": has_fast_bfloat16(on),
        "python": platform.python_version(),
        **{name: version(name) for name in ("recaption", "torch", "torchvision")},
    }
