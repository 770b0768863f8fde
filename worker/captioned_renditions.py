"""Captions of renditions on files: fetched, and captioned by a checkpoint in a child process."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from catalog.blobs import BlobStore
from catalog.errors import MissingBlob
from worker.children import renewing


def caption_renditions(
    renditions: Mapping[str, str],
    folder: Path,
    *,
    blobs: BlobStore,
    checkpoint: Path,
    device: str,
    run: Callable[[Sequence[str]], str],
    look: Callable[[], None],
) -> dict[str, str]:
    """What a checkpoint says of each rendition, by the name given to it; nothing of those gone or unreadable.

    The pictures lie in `folder` and what was said beside it. `run` runs a command of ours, `look` renews the
    lease; raises what these raise.
    """
    _fetch(renditions, folder, blobs, look)
    output = folder.with_name(f"{folder.name}.jsonl")
    output.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        return {}
    where = ["caption", str(folder), "--output", str(output)]
    run([*where, "--checkpoint", str(checkpoint), "--device", device])
    # By line feeds alone: captions may hold other ends of lines.
    rows = map(json.loads, output.read_text(encoding="utf-8").rstrip("\n").split("\n"))
    return {Path(row["image"]).stem: row["caption"] for row in rows if row["caption"] is not None}


def _fetch(renditions: Mapping[str, str], folder: Path, blobs: BlobStore, look: Callable[[], None]) -> None:
    folder.mkdir(exist_ok=True)
    for name, rendition in renewing(look, renditions.items()):
        picture = folder / f"{name}.jpg"
        try:
            blobs.copy_to(rendition, picture)
        except MissingBlob:
            picture.unlink(missing_ok=True)
