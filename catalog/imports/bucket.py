"""Photos in a bucket: each is fetched to a file of this disk while it is imported."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from catalog.errors import InvalidInput
from catalog.imports.staging import staged
from catalog.ingest import Incoming
from catalog.object_storage import Bucket


@dataclass(frozen=True)
class Remote(Incoming):
    """An object of a bucket, by its path below the prefix; `source` only tells it from others."""

    bucket: Bucket = field(kw_only=True, repr=False, compare=False)
    staging: Path = field(kw_only=True, repr=False, compare=False)

    def local(self) -> AbstractContextManager[Path]:
        return staged(self.path, self.staging, self._fetch)

    def _fetch(self, target: Path) -> None:
        with target.open("xb") as file:
            for piece in self.bucket.pieces(self.path):
                file.write(piece)


def objects_of(bucket: Bucket, staging: Path) -> Sequence[Remote]:
    """Every object below the bucket's prefix, in order; hidden ones are passed over.

    Raises InvalidInput when nothing is left, and what `Bucket` raises.
    """
    staging.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths = sorted(stored.path for stored in bucket.listed() if _is_file(stored.path, stored.size))
    if not paths:
        raise InvalidInput(f"{bucket.place} holds no files; name a prefix with photos below it")
    return [Remote(Path(str(bucket.place), path), path, bucket=bucket, staging=staging) for path in paths]


def _is_file(path: str, size: int) -> bool:
    # Consoles mark a folder by an empty object.
    folder = size == 0 and not PurePosixPath(path).suffix
    return not folder and not any(part.startswith(".") for part in path.split("/"))
