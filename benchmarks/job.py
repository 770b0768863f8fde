"""What a job costs beside captioning the same photos into a file: its broker, its database, its storage."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import text

from benchmarks import interleaved
from benchmarks.captioning import caption_files
from benchmarks.installation import Installation
from benchmarks.rows import Row
from model.description import starter_folder
from model.predictor import Predictor

FIRST = "Warming up"


def measure(photos: Sequence[Path], *, device: str, repeats: int) -> list[Row]:
    """A job through Celery on SQLite against `recaption caption` with its network loaded, on the same photos.

    The worker has its network loaded, too. Photos that were imported lie as JPEG files of their own.
    """
    predictor = Predictor.load(starter_folder(), device=device, precision="auto")
    with TemporaryDirectory(prefix="recaption-benchmark-") as home:
        installation = Installation(Path(home))
        folder = str(_folder(photos, Path(home) / "photos"))
        names = [FIRST, *(f"Photos {number}" for number in range(repeats + 1))]
        for name in names:
            installation.run("import", name, folder)
        imported = _bytes(installation)
        waiting = iter(names)
        with installation.worker(device):
            _run(installation, next(waiting))
            contestants: dict[str, interleaved.Contestant] = {
                "command": lambda: caption_files(predictor, photos, Path(home)),
                "job": lambda: _run(installation, next(waiting)),
            }
            taken = interleaved.seconds(contestants, repeats=repeats)
        grown = (_bytes(installation) - imported) / len(names) / len(photos)
        installation.database.close()
    return [
        Row.of(
            "a job through Celery and SQLite / recaption caption",
            taken,
            "command",
            "job",
            photos=len(photos),
            at_least=0.9,
        ),
        Row(
            name="what a captioned photo adds to an SQLite database, KiB",
            ratio=round(grown / 1024, 2),
            medians={"captions": len(names) * len(photos)},
            unit="written",
        ),
    ]


def _folder(photos: Sequence[Path], folder: Path) -> Path:
    folder.mkdir()
    for number, photo in enumerate(photos):
        shutil.copyfile(photo, folder / f"{number:07}.jpg")
    return folder


def _bytes(installation: Installation) -> int:
    """How large the database is, less what it has free."""
    used = text(
        "SELECT (page_count - freelist_count) * page_size"
        " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
    )
    with installation.database.reading() as session:
        return int(session.scalar(used) or 0)


def _run(installation: Installation, collection: str) -> None:
    installation.finish(installation.start_job(collection))
