"""Several processes at once: two imports of one zip, and a backup beside an import and a worker."""

import csv
import subprocess
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

from sqlalchemy import func, select

from catalog.blobs import open_blobs
from catalog.database import Database
from catalog.schema import Caption, Image, Item, JobState
from catalog.settings import child_environment, load_settings
from tests.functional.installation import COMMAND, Installation

Photos = Callable[[int], Path]


def test_two_imports_of_the_same_zip_keep_one_copy_of_each_picture(
    installation: Installation, photos: Photos, tmp_path: Path
) -> None:
    folder, count = photos(24), 24
    with ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    reports = [tmp_path / "first.csv", tmp_path / "second.csv"]
    importing = [
        started(installation, "import", "Harbour", str(tmp_path / "photos.zip"), "--report", str(report))
        for report in reports
    ]
    assert [process.wait(timeout=120) for process in importing] == [0, 0]
    with installation.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Image)) == count
        assert session.scalar(select(func.count()).select_from(Item)) == count
    # What the one imported, the other found: between them each photo is new exactly once.
    statuses = [{row["path"]: row["status"] for row in read(report)} for report in reports]
    for path in (f"{number:04}.jpg" for number in range(count)):
        assert sorted(status[path] for status in statuses) == ["already here", "imported"]
    assert installation.run("doctor").stdout.startswith("0 problems found")


def test_a_backup_beside_an_import_and_a_worker_is_whole(
    installation: Installation, photos: Photos, photo: Callable[..., Path], tmp_path: Path
) -> None:
    installation.run("import", "Harbour", str(photos(300)))
    for number in range(60):
        photo(tmp_path / "more" / f"more-{number}.jpg", 1000 + number)
    with installation.worker():
        job_id = int(installation.run("job", "caption", "Harbour").stdout.split()[1])
        installation.wait(job_id, lambda job: job.done > 0)
        importing = started(installation, "import", "Harbour", str(tmp_path / "more"))
        backup = installation.run("backup", str(tmp_path / "backup.tar"))
        at_work = importing.poll() is None or installation.job(job_id).state is JobState.RUNNING
        assert importing.wait(timeout=120) == 0
        installation.wait_for_end(job_id)
    assert at_work, "the backup came too late to be beside anything"
    assert "is written" in backup.stdout
    variables = {"RECAPTION_HOME": str(tmp_path / "elsewhere")}
    restored = Installation(
        variables=variables, settings=load_settings(variables), database=Database("sqlite://")
    )
    restored.run("restore", str(tmp_path / "backup.tar"))
    restored.database = Database(restored.settings.database_url)
    with restored.database.reading() as session:
        assert (session.scalar(select(func.count()).select_from(Caption)) or 0) > 0
        keys = session.scalars(select(Image.sha256)).all()
    assert len(keys) >= 300
    assert all(open_blobs(restored.settings).is_whole(key) for key in keys)
    # What the backup caught half done goes on where it is restored.
    with restored.worker():
        job = restored.wait_for_end(job_id)
        assert (job.state, job.done) == (JobState.DONE, 300)
        assert restored.run("doctor").stdout.startswith("0 problems found")
    restored.database.close()


def started(installation: Installation, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(COMMAND), *arguments],
        env=child_environment(**installation.variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def read(report: Path) -> list[dict[str, str]]:
    with report.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
