"""XMP sidecars: `pier.tif.xmp` or `pier.xmp` beside `pier.tif`, which say of a photo what it does not itself."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catalog.ingest import Incoming

SUFFIX = ".xmp"


def joined(files: Sequence["Incoming"]) -> tuple[list["Incoming"], list["Incoming"]]:
    """The files, each with its sidecar, without the sidecars; and the sidecars that belong to none of them."""
    sidecars = {file.path.lower(): file for file in files if file.path.lower().endswith(SUFFIX)}
    if not sidecars:
        return list(files), []
    others = [file for file in files if file.path.lower() not in sidecars]
    with_theirs = [replace(file, sidecar=_beside(file.path.lower(), sidecars)) for file in others]
    used = {file.sidecar.path for file in with_theirs if file.sidecar}
    return with_theirs, [file for file in sidecars.values() if file.path not in used]


def _beside(path: str, sidecars: dict[str, "Incoming"]) -> "Incoming | None":
    # The name that holds the whole name is meant for this file alone; the other may be shared with a raw file.
    stem = str(PurePosixPath(path).with_suffix(""))
    return sidecars.get(f"{path}{SUFFIX}") or sidecars.get(f"{stem}{SUFFIX}")
