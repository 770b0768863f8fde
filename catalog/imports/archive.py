"""Zips: their members are unpacked one at a time, under names of ours, and counted by their real bytes."""

import stat
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from catalog.errors import InvalidInput
from catalog.imports.rows import photo_path
from catalog.imports.staging import staged
from catalog.ingest import FileReport, Incoming
from pictures.errors import CorruptPicture, NotAnImage, RefusedPicture

MAX_MEMBERS = 200_000
# Scans of blank paper shrink a thousandfold; only what is large as well is a bomb.
MAX_RATIO = 200
HARMLESS = 256 << 20  # bytes of a member
HARMLESS_IN_ALL = 10 << 30  # bytes
PIECE = 1 << 20  # bytes read at a time
LOCAL_HEADER = 30  # bytes, and the name, stand before those of a member
ENCRYPTED = 0x1


@dataclass(frozen=True)
class Member(Incoming):
    """A file in a zip; it is unpacked while somebody reads it."""

    archive: "Archive" = field(kw_only=True, repr=False, compare=False)
    info: zipfile.ZipInfo = field(kw_only=True, repr=False, compare=False)

    def local(self) -> AbstractContextManager[Path]:
        if not self.info.file_size:  # A zip of thousands of these need not wait for thousands of folders.
            raise NotAnImage(f"{self.path} is empty; pack it again")
        return staged(self.path, self.archive.staging, partial(self.archive.unpack, self.info))


def members_of(file: Path, staging: Path) -> tuple[Sequence[Member], Sequence[FileReport]]:
    """The files of a zip, and a report for each that is refused by its entry. Raises InvalidInput."""
    archive = Archive(file, staging)
    paths: dict[int, str] = {}
    refused = []
    for number, info in enumerate(archive.infos):
        try:
            paths[number] = _path(info)
        except (InvalidInput, RefusedPicture) as error:
            name = info.filename.encode("utf-8", "replace").decode()
            refused.append(FileReport(name, RefusedPicture.reason, None, str(error)))
    root = _common_folder(list(paths.values()))
    members = [
        Member(file, path[len(root) :], archive=archive, info=archive.infos[number])
        for number, path in paths.items()
    ]
    return members, refused


class Archive:
    """An open zip. Raises InvalidInput for one that is damaged, too full, or whose members overlap."""

    def __init__(self, file: Path, staging: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise InvalidInput(f"{str(file)!r} cannot be read as a zip: {error}") from error
        self.infos = [info for info in self._zip.infolist() if not info.is_dir() and not _is_hidden(info)]
        self._label = file.name
        self._left = max(HARMLESS_IN_ALL, MAX_RATIO * file.stat().st_size)
        staging.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.staging = staging
        if len(self.infos) > MAX_MEMBERS:
            raise InvalidInput(
                f"{file.name} has {len(self.infos):,} files; pack {MAX_MEMBERS:,} at most into one zip"
            )
        self._refuse_overlaps()

    def unpack(self, info: zipfile.ZipInfo, target: Path) -> None:
        """Write a member's bytes. Raises RefusedPicture for a bomb, CorruptPicture for damage."""
        longest = max(HARMLESS, MAX_RATIO * info.compress_size)
        length = 0
        try:
            with self._zip.open(info) as source, target.open("xb") as file:
                while piece := source.read(PIECE):
                    length, self._left = length + len(piece), self._left - len(piece)
                    if length > longest or self._left < 0:
                        raise RefusedPicture(
                            f"{info.filename} unpacks to over {length >> 20} MiB out of {info.compress_size} "
                            f"bytes; import it as a file if it is no bomb"
                        )
                    file.write(piece)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise CorruptPicture(f"{info.filename} cannot be unpacked from {self._label}: {error}") from error

    def _refuse_overlaps(self) -> None:
        """Members that share their bytes are made to unpack to more than any zip can hold."""
        ends = 0
        for info in sorted(self._zip.infolist(), key=lambda info: info.header_offset):
            if info.header_offset < ends:
                raise InvalidInput(
                    f"in {self._label}, {info.filename!r} overlaps another file; pack the photos again"
                )
            ends = info.header_offset + info.compress_size + LOCAL_HEADER


def _path(info: zipfile.ZipInfo) -> str:
    if stat.S_ISLNK(info.external_attr >> 16):
        raise RefusedPicture(f"{info.filename} is a link; pack the file itself")
    if info.flag_bits & ENCRYPTED:
        raise RefusedPicture(f"{info.filename} is encrypted; pack it without a password")
    return photo_path(info.filename)


def _is_hidden(info: zipfile.ZipInfo) -> bool:
    # macOS packs a shadow of each file, too.
    parts = PurePosixPath(info.filename).parts
    return any(part == "__MACOSX" or (part.startswith(".") and part != "..") for part in parts)


def _common_folder(paths: Sequence[str]) -> str:
    """The one folder that holds everything, with its slash; "" where there is none."""
    folders = {path.partition("/")[0] if "/" in path else "" for path in paths}
    only = folders.pop() if len(folders) == 1 else ""
    return f"{only}/" if only else ""
