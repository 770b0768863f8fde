"""The captioner's commands; whatever needs PyTorch is imported when a command runs."""

import dataclasses
import json
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import click

from model.config import CHOICES

if TYPE_CHECKING:
    from model.comparison import System
    from model.config import Recipe

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
DEVICE = click.Choice(["auto", "cpu", "cuda"])
PRECISION = click.Choice(["auto", "float32"])
BEAM_SIZE = click.IntRange(1, 32)
FRAMING = click.Choice(CHOICES["data.framing"])


@click.command()
@click.option(
    "--data", "source", required=True, type=click.Path(path_type=Path), help="Photos with captions."
)
@click.option(
    "--recipe",
    "recipe_name",
    help="Name of a recipe, or a .toml file [default: that of --from, for retraining].",
)
@click.option(
    "--output", required=True, type=FOLDER, help="Folder for the checkpoint and the training state."
)
@click.option("--from", "base", type=FOLDER, help="Checkpoint to start from.")
@click.option("--resume", is_flag=True, help="Go on with the run whose state is in OUTPUT.")
@click.option("--cache", type=FOLDER, help="Folder for encoder features [default: OUTPUT/training].")
@click.option(
    "--cache-size",
    type=click.IntRange(1),
    metavar="GB",
    help="Keep so many gigabytes of features, those of this run in any case [default: all].",
)
@click.option("--device", type=DEVICE, default="auto", show_default=True)
@click.argument("overrides", nargs=-1, metavar="[TABLE.KEY=VALUE]...")
def train(
    source: Path,
    recipe_name: str | None,
    output: Path,
    base: Path | None,
    resume: bool,
    cache: Path | None,
    cache_size: int | None,
    device: str,
    overrides: tuple[str, ...],
) -> None:
    """Train a captioner and keep what validates best. SIGTERM ends it with its state saved for --resume."""
    from model.errors import TrainingStopped
    from model.training import train as run

    told = Event()
    signal.signal(signal.SIGTERM, lambda number, frame: told.set())
    try:
        run(
            _recipe(recipe_name, base, overrides),
            source=source,
            output=output,
            name=output.resolve().name,
            base=base,
            resume=resume,
            cache=cache,
            cache_bytes=cache_size * 10**9 if cache_size else None,
            device=device,
            progress=sys.stderr.isatty(),
            report=lambda line: click.echo(line, err=True),
            stopping=told.is_set,
        )
    except TrainingStopped as stopped:
        click.echo(str(stopped), err=True)
        sys.exit(128 + signal.SIGTERM)


@click.command()
@click.option(
    "--data", "source", required=True, type=click.Path(path_type=Path), help="Photos with captions."
)
@click.option("--split", required=True, help="Which of its splits, such as dev.")
@click.option("--checkpoint", type=FOLDER, help="Checkpoint to score [default: the starter].")
@click.option(
    "--captions", type=FILE, help="Score the captions of this file instead (JSON lines or COCO results)."
)
@click.option("--beam-size", type=BEAM_SIZE, help="[default: the checkpoint's]")
@click.option("--framing", type=FRAMING, help="How photos are made square [default: as the checkpoint says].")
@click.option("--predictions", type=FILE, help="Write the first captions as a COCO results JSON.")
@click.option("--details", type=FILE, help="Write a line of JSON a photo: all captions and their CIDEr.")
@click.option(
    "--against", multiple=True, type=FOLDER, help="More checkpoints on the same photos; folders may follow."
)
@click.option("--device", type=DEVICE, default="auto", show_default=True)
@click.option("--precision", type=PRECISION, default="float32", show_default=True, help="As for caption.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and no progress.")
@click.argument("more", nargs=-1, type=FOLDER, metavar="[DIR]...")
def evaluate(
    source: Path,
    split: str,
    checkpoint: Path | None,
    captions: Path | None,
    beam_size: int | None,
    framing: str | None,
    predictions: Path | None,
    details: Path | None,
    against: tuple[Path, ...],
    device: str,
    precision: str,
    as_json: bool,
    more: tuple[Path, ...],
) -> None:
    """Score captions against references, as the COCO caption scorer does."""
    from model import comparison, evaluation
    from model.data import read_data
    from model.description import read_description, starter_folder

    if captions and (checkpoint or ((beam_size or framing) and not against)):
        raise click.UsageError("--captions scores a file; leave out --checkpoint, --beam-size and --framing")
    if more and not against:
        raise click.UsageError(f"write --against before {more[0]} to compare with that checkpoint")
    others = (*against, *more)
    for folder in others:
        read_description(folder)  # A mistyped folder is named before minutes go into the others.
    examples = read_data(source).split(split)
    evaluator = evaluation.Evaluator(split, examples)
    score = partial(
        comparison.checkpoint_system,
        examples=examples,
        evaluator=evaluator,
        device=device,
        beam_size=beam_size,
        framing=framing,
        precision=precision,
        progress=sys.stderr.isatty() and not as_json,
    )
    first = (
        comparison.file_system(captions, examples, evaluator)
        if captions
        else score(checkpoint or starter_folder())
    )
    if predictions:
        evaluation.write_predictions(predictions, examples, first.captions.texts)
    systems = [first, *map(score, others)]
    if details:
        comparison.write_details(details, examples, systems)
    click.echo(_evaluations(systems, as_json=as_json))
    _name_failed(systems)
    if any(system.captions.failed for system in systems if system.description):
        sys.exit(1)


@click.command("check-checkpoint", hidden=True)
@click.argument("folder", type=FOLDER)
def check_checkpoint(folder: Path) -> None:
    """Try a checkpoint from elsewhere out, for whoever adds it: only this process can come to harm."""
    from model.checkpoint_check import MEMORY_LIMIT, check
    from pictures.decoding_child import limit_memory

    limit_memory(MEMORY_LIMIT)
    check(folder)


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--output", required=True, type=FILE, help="File to write the captions to.")
@click.option(
    "--format", "format_name", type=click.Choice(["jsonl", "csv", "txt"]), default="jsonl", show_default=True
)
@click.option("--checkpoint", type=FOLDER, help="Checkpoint to caption with [default: the starter].")
@click.option("--beam-size", type=BEAM_SIZE, help="[default: the checkpoint's]")
@click.option("--batch-size", type=click.IntRange(1, 4096), default=64, show_default=True)
@click.option("--device", type=DEVICE, default="auto", show_default=True)
@click.option(
    "--precision",
    type=PRECISION,
    default="auto",
    show_default=True,
    help="auto is faster where it can be; float32 says the same on every processor.",
)
@click.option("--resume", is_flag=True, help="Skip photos that OUTPUT already has a line for.")
@click.option("--max-pixels", type=click.IntRange(1), default=200_000_000, show_default=True)
def caption(
    sources: tuple[str, ...],
    output: Path,
    format_name: str,
    checkpoint: Path | None,
    beam_size: int | None,
    batch_size: int,
    device: str,
    precision: str,
    resume: bool,
    max_pixels: int,
) -> None:
    """Caption photos, folders and globs into a file; one line a photo, failed ones too."""
    from model.captioning import caption_to_file
    from model.description import starter_folder
    from model.predictor import Predictor

    report = caption_to_file(
        sources,
        output,
        load_predictor=lambda: Predictor.load(
            checkpoint or starter_folder(), device=device, beam_size=beam_size, precision=precision
        ),
        format_name=format_name,
        batch_size=batch_size,
        resume=resume,
        max_pixels=max_pixels,
        progress=sys.stderr.isatty(),
    )
    done = f", {report.skipped} were there already" if resume else ""
    click.echo(f"{report.captioned} photos captioned{done}", err=True)
    if report.errors:
        click.echo(f"{len(report.errors)} photos could not be captioned:", err=True)
        for image, error in report.errors:
            click.echo(f"  {image}: {error}", err=True)
        sys.exit(1)


def _recipe(name: str | None, base: Path | None, overrides: Sequence[str]) -> "Recipe":
    """The recipe of that name, or the one by which a checkpoint is retrained."""
    from model.config import load_recipe, override
    from model.description import read_description
    from model.retraining import retraining_recipe

    if name:
        return load_recipe(name, overrides)
    if base is None:
        raise click.UsageError("give --recipe, or --from with a checkpoint, which goes on by its own")
    return override(retraining_recipe(read_description(base)), overrides)


def _evaluations(systems: Sequence["System"], *, as_json: bool) -> str:
    from model.comparison import compare, comparison_to_dict
    from model.score_tables import comparison_table, evaluation_table

    if len(systems) == 1:
        result = systems[0].evaluation
        return json.dumps(dataclasses.asdict(result)) if as_json else evaluation_table(result)
    compared = compare(systems)
    return json.dumps(comparison_to_dict(compared)) if as_json else comparison_table(compared)


def _name_failed(systems: Sequence["System"]) -> None:
    for system in systems:
        failed = system.captions.failed
        if failed:
            click.echo(f"{len(failed)} photos have no caption of {system.name} and count as wrong:", err=True)
            for name, reason in failed.items():
                click.echo(f"  {name}: {reason}", err=True)
