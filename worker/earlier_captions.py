"""What a checkpoint wrote when it was measured on a set before: weights never change."""

import json
from collections.abc import Collection
from pathlib import Path

from catalog import evaluations, regressions
from catalog.errors import MissingBlob
from catalog.evaluations import SetToMeasure
from catalog.schema import Checkpoint
from worker.runtime import Runtime


def write_earlier_captions(
    runtime: Runtime, checkpoint: Checkpoint, one: SetToMeasure, photos: Collection[str], file: Path
) -> Path | None:
    """Write them as `recaption evaluate --captions` reads them; `photos` are the hashes of the set's.

    Returns the file, and None where they are not all known.
    """
    with runtime.database.reading() as session:
        key = evaluations.predictions_of(session, checkpoint, one)
    if key is None:
        return None
    try:
        found = regressions.predictions(runtime.blobs, key)
    except MissingBlob:
        return None
    # Where all are empty, no file of captions says so.
    if not found.keys() >= set(photos) or not any(found[photo].caption for photo in photos):
        return None
    rows = ({"image": f"{photo}.jpg", "caption": found[photo].caption} for photo in photos)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file
