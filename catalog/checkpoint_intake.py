"""Checkpoints from elsewhere: unpacked within bounds, and tried out in a child process before they stay."""

import json
import stat
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from catalog.errors import InvalidInput
from catalog.settings import own_command
from catalog.space import room_in

WEIGHTS = "weights.safetensors"
DESCRIPTION = "checkpoint.json"
LARGEST = {WEIGHTS: 2 << 30, DESCRIPTION: 32 << 20}  # bytes
MOST_ENTRIES = 100  # of a zip
NAME_LENGTH = 255
SECONDS = 180.0  # that trying one out may take
PIECE = 1 << 20  # bytes read at a time
ENCRYPTED = 0x1
# The others unpack with as much memory as the file says, or fail in ways of their own.
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
COMPLAINT = 600  # characters of what the child says

# Nothing of this process's environment is handed on: strange bytes shall find no password there.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@contextmanager
def unpacked(source: Path, staging: Path | None = None) -> Iterator[Path]:
    """A folder of ours with the two files of a folder or a zip, while the block runs.

    Raises InvalidInput for what is neither, for a zip with anything else in it, and for files that are too
    large; StorageFull where there is no room for them.
    """
    if staging:
        staging.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=staging) as place, room_in(Path(place)):
        folder = Path(place)
        if source.is_dir():
            _copy_folder(source, folder)
        else:
            _unpack(source, folder)
        yield folder


def description_of(folder: Path) -> dict[str, Any]:
    """The checkpoint.json of a folder, fit to be stored. Raises InvalidInput."""
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        # No database holds infinite numbers, lone surrogates or a NUL.
        text = json.dumps(description, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{DESCRIPTION} cannot be read: {error}; write it with `recaption train`"
        ) from error
    if "\\u0000" in text:
        raise InvalidInput(f"{DESCRIPTION} holds a NUL; write it with `recaption train`")
    if not isinstance(description, dict):
        raise InvalidInput(f"{DESCRIPTION} describes no checkpoint; write it with `recaption train`")
    name = description.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > NAME_LENGTH or not name.isprintable():
        raise InvalidInput(
            f"{DESCRIPTION} names no checkpoint; give it a name of 1 to {NAME_LENGTH} printable characters"
        )
    return description


def try_out(folder: Path, *, seconds: float = SECONDS) -> None:
    """Load the network in a child process and have it caption a picture. Raises InvalidInput that says why.

    The child has an empty environment and limits of memory and time; it reads no pickle.
    """
    command = own_command("check-checkpoint", str(folder.resolve()))
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            env=_ENVIRONMENT,
            timeout=seconds,
            check=False,
            start_new_session=True,  # Ctrl+C is the parent's business.
        )
    except subprocess.TimeoutExpired:
        raise InvalidInput(f"the checkpoint took longer than {seconds:g} s to load; is it damaged?") from None
    if done.returncode:
        # The folder is one of ours, which nobody knows.
        said = done.stderr.decode(errors="replace").replace(f"{folder.resolve()}/", "")
        why = " ".join(said.rpartition("Error: ")[2].split()) or f"exit code {done.returncode}"
        raise InvalidInput(f"the checkpoint cannot be used: {why[:COMPLAINT]}")


def _copy_folder(source: Path, folder: Path) -> None:
    """What else lies in the folder, such as the state of a training, is left there."""
    for name in LARGEST:
        if not (source / name).is_file():
            raise InvalidInput(f"{str(source)!r} has no {name}; give a folder that `recaption train` wrote")
        with (source / name).open("rb") as file:
            _copy(file, folder / name)


def _unpack(source: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            for name, info in _members(archive).items():
                with archive.open(info) as file:
                    _copy(file, folder / name)
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, EOFError, RuntimeError) as error:
        raise InvalidInput(f"{source.name!r} cannot be read as a zip: {error}; pack it again") from error
    except FileNotFoundError:
        raise InvalidInput(f"there is no {str(source)!r}; give a folder or a zip with a checkpoint") from None


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The two files by name: they stand alone, or in one folder."""
    infos = [info for info in archive.infolist() if not info.is_dir()]
    label = Path(archive.filename or "the zip").name
    if len(infos) > MOST_ENTRIES:
        raise InvalidInput(f"{label!r} has {len(infos):,} files; {_only()}")
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = PurePosixPath(info.filename).name
        if name not in LARGEST or name in found or stat.S_ISLNK(info.external_attr >> 16):
            raise InvalidInput(f"{label!r} holds {info.filename[:100]!r}; {_only()}")
        if info.flag_bits & ENCRYPTED:
            raise InvalidInput(f"{label!r} is encrypted; pack it without a password")
        if info.compress_type not in PACKED:
            raise InvalidInput(f"{label!r} is packed in an unusual way; pack it as any system does (deflate)")
        found[name] = info
    for name in LARGEST:
        if name not in found:
            raise InvalidInput(f"{label!r} has no {name}; {_only()}")
    return found


def _only() -> str:
    return f"pack {' and '.join(LARGEST)} alone"


def _copy(file: IO[bytes], target: Path) -> None:
    """Copy a file, counted by its real bytes, whatever a zip says of it."""
    most, copied = LARGEST[target.name], 0
    with target.open("wb") as copy:
        while piece := file.read(PIECE):
            copied += len(piece)
            if copied > most:
                raise InvalidInput(f"{target.name} is larger than {most >> 20:,} MB; it is no checkpoint's")
            copy.write(piece)
