"""XMP sidecars: `pier.tif.xmp` or `pier.xmp` beside `pier.tif`, which say more of a photo than it does."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catalog.ingest import Incoming

SUFFIXES = (".xmp", ".XMP")


def joined(files: Sequence["Incoming"]) -> tuple[list["Incoming"], list["Incoming"]]:
    """The files, each with its sidecar, and the sidecars that none of them uses."""
    sidecars = {file.path: file for file in files if file.path.endswith(SUFFIXES)}
    if not sidecars:
        return list(files), []
    others = [file for file in files if file.path not in sidecars]
    with_theirs = [replace(file, sidecar=_beside(file.path, sidecars)) for file in others]
    used = {file.sidecar.path for file in with_theirs if file.sidecar}
    return with_theirs, [file for path, file in sidecars.items() if path not in used]


def _beside(path: str, sidecars: dict[str, "Incoming"]) -> "Incoming | None":
    # The longer name is meant for this file alone; the shorter one may be shared with a raw file.
    names = [
        f"{start}{suffix}"
        for start in (path, str(PurePosixPath(path).with_suffix("")))
        for suffix in SUFFIXES
    ]
    return next((sidecars[name] for name in names if name in sidecars), None)
