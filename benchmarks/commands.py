"""`recaption benchmark`: ratios that say how close this machine comes to what it could do."""

import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from benchmarks.rows import Row

NAMES = ("captioning", "memory", "training", "start")


@click.command()
@click.argument("name", required=False, type=click.Choice(NAMES))
@click.option("--photos", type=click.Path(path_type=Path, exists=True, file_okay=False), help="JPEG files.")
@click.option("--count", type=click.IntRange(64), default=512, show_default=True, help="Photos to take.")
@click.option(
    "--many", type=click.IntRange(2000), default=10_000, show_default=True, help="Files for memory."
)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def benchmark(
    name: str | None, photos: Path | None, count: int, many: int, repeats: int, device: str, as_json: bool
) -> None:
    """Measure this machine: NAME alone, or everything. Figures are ratios; times hold on no other machine."""
    with TemporaryDirectory(prefix="recaption-benchmark-") as folder:
        files = _photos(photos, Path(folder), count)
        rows = [
            row for one in ([name] if name else NAMES) for row in _measure(one, files, many, repeats, device)
        ]
    if as_json:
        click.echo(
            json.dumps({"machine": _machine(device), "rows": [row.to_dict() for row in rows]}, indent=1)
        )
        return
    for row in rows:
        click.echo(row.text())


def _measure(name: str, photos: Sequence[Path], many: int, repeats: int, device: str) -> list["Row"]:
    from benchmarks import captioning, memory, start, training

    match name:
        case "captioning":
            return captioning.measure(photos, device=device, repeats=repeats)
        case "memory":
            return memory.measure(photos, many=many, device=device)
        case "training":
            return training.measure(device=device, repeats=repeats)
        case _:
            return start.measure(repeats=repeats)


def _photos(given: Path | None, folder: Path, count: int) -> list[Path]:
    """The first photos of a folder, or drawn ones."""
    if given is None:
        from benchmarks.photos import draw_photos

        return draw_photos(folder, count, width=500, height=375)
    found = sorted(path for path in given.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))[:count]
    if not found:
        raise click.UsageError(f'there are no JPEG files in "{given}"')
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
