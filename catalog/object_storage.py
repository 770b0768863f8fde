"""S3-compatible storage, through obstore: asked with bounded patience, its errors in our words."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from catalog.errors import CatalogError, InvalidInput, StorageFull, StorageUnavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

PART = 8 << 20  # bytes of a multipart upload that travel at once
PARTS_AT_ONCE = 2
PIECE = 1 << 20  # bytes received at a time
# A read gives up within half of a chunk's lease, so that no worker loses its chunk to a slow storage.
RETRIES: "RetryConfig" = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=5), "base": 2},
}
READING: "ClientConfig" = {"connect_timeout": "5s", "read_timeout": "10s", "timeout": "1h"}
# While a part travels nothing is read, and uplinks are slow.
WRITING: "ClientConfig" = {"connect_timeout": "5s", "timeout": "2m"}
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
REFUSALS = ("401", "403")
FULL = ("507", "XMinioStorageFull", "QuotaExceeded")
NO_BUCKET = "NoSuchBucket"


@dataclass(frozen=True)
class S3Place:
    """A bucket and the prefix in it, as in s3://bucket/prefix."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, url: str) -> "S3Place":
        """Raises InvalidInput for what is no such address."""
        scheme, _, rest = url.partition("://")
        bucket, _, prefix = rest.partition("/")
        prefix = prefix.strip("/")
        sound = all(part not in ("", ".", "..") for part in prefix.split("/")) or not prefix
        if scheme != "s3" or not BUCKET_NAME.fullmatch(bucket) or not sound:
            raise InvalidInput(f"{url!r} is no address of a bucket; give one such as s3://bucket/prefix")
        return cls(bucket, prefix)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


@dataclass(frozen=True)
class S3Account:
    """Where S3-compatible storage answers, and as whom we ask; without keys, as the machine's own role."""

    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Stored:
    """An object as a listing shows it: its path below the prefix, bytes, and seconds since 1970."""

    path: str
    size: int
    modified: float


class Bucket:
    """The objects below a prefix of a bucket; every path is relative to it.

    All methods raise StorageUnavailable when the storage does not answer or refuses us, in the end, and
    StorageFull when it has no room left. What is not there raises FileNotFoundError where it is asked for.
    """

    def __init__(self, place: S3Place, account: S3Account) -> None:
        self.place = place
        self._reading = _store(place, account, READING)
        self._writing = _store(place, account, WRITING)

    def __str__(self) -> str:
        return str(self.place)

    def modified(self, path: str) -> float | None:
        """When an object was written, in seconds since 1970; None where there is none."""
        import obstore

        try:
            with self._asked(path):
                return obstore.head(self._reading, path)["last_modified"].timestamp()
        except FileNotFoundError:
            return None

    def pieces(self, path: str) -> Iterator[bytes]:
        """The bytes of an object, a piece at a time; a transfer that breaks off is taken up where it was."""
        import obstore

        with self._asked(path):
            yield from obstore.get(self._reading, path).stream(min_chunk_size=PIECE)

    def create(self, path: str, content: bytes) -> None:
        """Write an object of at most PART bytes where there is none yet.

        Some storages know no condition on writing; these are asked first.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        try:
            with self._asked(path):
                obstore.put(self._writing, path, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            pass
        except StorageUnavailable:
            if self.modified(path) is None:
                with self._asked(path):
                    obstore.put(self._writing, path, content, use_multipart=False)

    def upload(self, path: str, pieces: Iterator[bytes]) -> None:
        """Write a large object in parts; nothing is there until all are, or when `pieces` raises."""
        import obstore

        with self._asked(path):
            obstore.put(self._writing, path, pieces, chunk_size=PART, max_concurrency=PARTS_AT_ONCE)

    def remove(self, path: str) -> None:
        """Remove an object, if it is there."""
        import obstore

        try:
            with self._asked(path):
                obstore.delete(self._writing, path)
        except FileNotFoundError:
            return

    def move(self, path: str, to: str) -> None:
        import obstore

        with self._asked(path):
            obstore.rename(self._writing, path, to)

    def listed(self, below: str | None = None) -> Iterator[Stored]:
        """The objects below the prefix, or below a folder there."""
        import obstore

        with self._asked(below or ""):
            for page in obstore.list(self._reading, prefix=below):
                for one in page:
                    yield Stored(one["path"], one["size"], one["last_modified"].timestamp())

    @contextmanager
    def _asked(self, path: str) -> Iterator[None]:
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            yield
        except AlreadyExistsError:
            raise
        except FileNotFoundError as error:
            if NO_BUCKET in str(error):
                raise self._in_our_words(error) from None
            raise FileNotFoundError(errno.ENOENT, f"{self.place} holds no such object", path) from None
        except BaseError as error:
            # Not chained: what the storage says may repeat the request with its secrets.
            raise self._in_our_words(error) from None

    def _in_our_words(self, error: Exception) -> CatalogError:
        status, code = _answer(error)
        said = ", ".join(filter(None, (status, code))) or "it cannot be reached"
        if code == NO_BUCKET:
            return StorageUnavailable(f"there is no bucket {self.place.bucket!r}; make it, or name another")
        if code in FULL or status.startswith(FULL):
            return StorageFull(f"{self.place} is full ({said}); free some space there and do it again")
        if status.startswith(REFUSALS):
            return StorageUnavailable(
                f"{self.place} refuses access ({said}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
                "AWS_REGION, and what this account may do"
            )
        return StorageUnavailable(
            f"{self.place} does not answer as it should ({said}); try again in a moment, or check "
            "AWS_ENDPOINT_URL and the network"
        )


def _store(place: S3Place, account: S3Account, limits: "ClientConfig") -> Any:
    from obstore.store import S3Store

    named = {
        "endpoint": account.endpoint,
        "region": account.region,
        "access_key_id": account.access_key_id,
        "secret_access_key": account.secret_access_key,
        "session_token": account.session_token,
    }
    config: Any = {name: value for name, value in named.items() if value}
    # Not every storage knows the request that deletes many at once.
    config["disable_bulk_delete"] = True
    allowed = bool(account.endpoint and account.endpoint.startswith("http://"))
    return S3Store(
        place.bucket,
        prefix=place.prefix or None,
        config=config,
        client_options={**limits, "allow_http": allowed},
        retry_config=RETRIES,
    )


def _answer(error: Exception) -> tuple[str, str]:
    """The HTTP status and the code of S3 in an error of obstore, as far as there are any."""
    status = re.search(r"status code: (\d{3}[ \w]*)", str(error))
    code = re.search(r"<Code>(\w+)</Code>", str(error))
    return status[1].strip() if status else "", code[1] if code else ""
