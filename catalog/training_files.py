"""The saved files of a training: what another host needs to go on, as one blob."""

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from catalog.blobs import BlobStore
from catalog.checkpoints import DESCRIPTION, WEIGHTS
from catalog.errors import MissingBlob
from catalog.space import room_in

TRAINING = PurePosixPath("output/training")
STATE = TRAINING / "state.safetensors"
LOG = TRAINING / "log.jsonl"
TENSORBOARD = TRAINING / "tensorboard"
BEST = PurePosixPath("output")
PHOTOS = PurePosixPath("photos.jsonl")
# Of a machine or of a moment, or made again sooner than copied.
LEFT_OUT = ("lock", "progress.json")


def save(blobs: BlobStore, folder: Path) -> str | None:
    """Store all that a run needs to go on; None in the moment in which its checkpoint is being replaced.

    It may be at work meanwhile: what is newer than the state is done again, to the same end. Equal files give
    equal bytes. Raises StorageFull.
    """
    with room_in(folder), tempfile.NamedTemporaryFile(dir=folder) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
            # First, so that all others are as new at least.
            for name in (STATE, *_best(folder), PHOTOS, *_others(folder)):
                _add(archive, folder, name)
        packed.flush()
        whole = _best_is_whole(Path(packed.name))
        return blobs.put(Path(packed.name)) if whole else None


def save_log(blobs: BlobStore, folder: Path) -> str:
    """Store what people still want of a training that has ended: its log, and TensorBoard's files."""
    with room_in(folder), tempfile.NamedTemporaryFile(dir=folder) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name in (LOG, *_below(folder, TENSORBOARD)):
                _add(archive, folder, name)
        packed.flush()
        return blobs.put(Path(packed.name))


def restore(blobs: BlobStore, key: str, folder: Path) -> None:
    """Put saved files where a run goes on from them: all of them, or none by which a run would go on.

    Raises MissingBlob and StorageFull.
    """
    staged = folder / ".restored"
    shutil.rmtree(staged, ignore_errors=True)
    with room_in(folder), blobs.local(key) as path, tarfile.open(path) as archive:
        for member in archive:
            _extract(archive, member, staged)
    # The state last: where it lies, all else is there.
    for source in sorted(staged.rglob("*"), key=lambda path: (path == staged / STATE, path)):
        if source.is_file():
            target = folder / source.relative_to(staged)
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
    shutil.rmtree(staged, ignore_errors=True)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    path, content = PurePosixPath(member.name), archive.extractfile(member)
    if content is None or path.is_absolute() or ".." in path.parts:
        raise MissingBlob(f"{member.name!r} is no saved file of a training; start the job anew")
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        while piece := content.read(1 << 20):
            file.write(piece)


def _best(folder: Path) -> Iterator[PurePosixPath]:
    """The checkpoint of the best epoch so far."""
    yield from (BEST / name for name in (WEIGHTS, DESCRIPTION) if (folder / BEST / name).is_file())


def _others(folder: Path) -> Iterable[PurePosixPath]:
    return (
        name
        for name in _below(folder, TRAINING)
        if name != STATE and name.name not in LEFT_OUT and not name.name.endswith(".partial")
    )


def _below(folder: Path, place: PurePosixPath) -> Iterator[PurePosixPath]:
    for path in sorted((folder / place).rglob("*")):
        hidden = path.name.startswith(".")
        if path.is_file() and not hidden:
            yield PurePosixPath(path.relative_to(folder))


def _add(archive: tarfile.TarFile, folder: Path, name: PurePosixPath) -> None:
    """Add a file as it is now, without when and by whom it was written; one that is not there is left out."""
    try:
        content = (folder / name).read_bytes()
    except FileNotFoundError:
        return
    member = tarfile.TarInfo(str(name))
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _best_is_whole(packed: Path) -> bool:
    """Whether the description of the best epoch is that of its weights, or both are not there yet."""
    with tarfile.open(packed) as archive:
        found = {member.name: member for member in archive}
        names = [str(BEST / name) for name in (WEIGHTS, DESCRIPTION)]
        if not any(name in found for name in names):
            return True
        if not all(name in found for name in names):
            return False
        weights, described = (archive.extractfile(found[name]) for name in names)
        assert weights
        assert described
        digest = hashlib.file_digest(weights, "sha256").hexdigest()  # type: ignore[arg-type]
        return bool(json.loads(described.read())["weights_sha256"] == digest)
