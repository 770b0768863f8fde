"""Where everything lives: the one place that reads the environment."""

import os
import re
import secrets
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from catalog.errors import InvalidInput
from catalog.object_storage import S3Account, S3Place
from pictures.decode import MAX_PIXELS

HOST_PATTERN = re.compile(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+")
FEATURE_CACHE_GB = 20
BROKERS = ("filesystem", "redis", "rediss", "amqp", "amqps", "pyamqp")


@dataclass(frozen=True)
class Settings:
    """The resolved settings of one installation."""

    home: Path
    database_url: str
    broker_url: str
    blobs: Path | S3Place
    max_pixels: int
    trusted_hosts: tuple[str, ...]
    url_imports: tuple[str, ...]
    visible_gpus: tuple[str, ...]
    s3: S3Account = field(default=S3Account())
    threads: int = 0
    feature_cache_gb: int = FEATURE_CACHE_GB

    @property
    def embedded_broker(self) -> bool:
        """Whether messages travel through a folder of this machine instead of a server."""
        return self.broker_url.startswith("filesystem://")

    @property
    def threads_beside(self) -> int:
        """How many threads compute beside the pages: all cores but one, at most as OMP_NUM_THREADS says."""
        cores = max(1, _cores() - 1)
        return min(cores, self.threads) if self.threads else cores

    @property
    def broker_folder(self) -> Path:
        return self.home / "broker"

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    def prepare_home(self) -> None:
        """Create the home folder, readable by its owner alone."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)

    def secret_key(self) -> str:
        """The key that signs sessions: made once, kept in the home folder."""
        path = self.home / "secret-key"
        if not path.exists():
            self.prepare_home()
            # Written whole, then linked: of two processes that start together, both read the first one's key.
            with tempfile.NamedTemporaryFile("w", dir=self.home, encoding="ascii") as file:
                file.write(secrets.token_urlsafe(48))
                file.flush()
                with suppress(FileExistsError):
                    os.link(file.name, path)
        return path.read_text(encoding="ascii")


def own_command(*arguments: str) -> list[str]:
    """A command of ours for a child process, which ends with the process that starts it.

    The console script beside this interpreter: `python -m` would put the working directory first.
    """
    return [str(Path(sys.executable).with_name("recaption")), "--with-parent", *arguments]


def child_environment(**changes: str) -> dict[str, str]:
    """This process's environment with some variables changed, for a process that it starts."""
    return {**os.environ, **changes}


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the RECAPTION_* variables, with a home folder and SQLite as defaults, and AWS_* for buckets.

    Raises InvalidInput for a value that cannot be used.
    """
    env = os.environ if environ is None else environ
    home = Path(env.get("RECAPTION_HOME") or "~/.recaption").expanduser().absolute()
    return Settings(
        home=home,
        database_url=env.get("RECAPTION_DATABASE_URL") or f"sqlite:///{home / 'recaption.sqlite'}",
        broker_url=_broker(env.get("RECAPTION_BROKER_URL")),
        blobs=_blobs(env.get("RECAPTION_BLOBS"), home),
        max_pixels=_positive(env, "RECAPTION_MAX_PIXELS", MAX_PIXELS),
        trusted_hosts=_words(env.get("RECAPTION_TRUSTED_HOSTS")),
        url_imports=_url_hosts(env.get("RECAPTION_URL_IMPORTS")),
        visible_gpus=_words(env.get("CUDA_VISIBLE_DEVICES")),
        s3=_s3_account(env),
        threads=_threads(env.get("OMP_NUM_THREADS")),
        feature_cache_gb=_positive(env, "RECAPTION_FEATURE_CACHE_GB", FEATURE_CACHE_GB),
    )


def _cores() -> int:
    """The cores that this process may use; macOS does not tell, and means all of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads(value: str | None) -> int:
    """The threads that the environment allows; 0 for any number, and also for nested ones ("4,2")."""
    return int(value) if value and value.isdigit() else 0


def _words(value: str | None) -> tuple[str, ...]:
    return tuple((value or "").replace(",", " ").split())


def _url_hosts(value: str | None) -> tuple[str, ...]:
    """The hosts from which photos of listed URLs may be fetched; `*` stands for all."""
    hosts = tuple(host.lower() for host in _words(value))
    if hosts in ((), ("off",)):
        return ()
    if hosts == ("on",):
        return ("*",)
    for host in hosts:
        if not HOST_PATTERN.fullmatch(host):
            raise InvalidInput(
                f"RECAPTION_URL_IMPORTS has {host!r}; give names of hosts such as images.example.org or "
                "*.example.org, or `on` for all"
            )
    return hosts


def _broker(value: str | None) -> str:
    url = value or "filesystem://localhost//"
    if url.partition("://")[0] not in BROKERS or "://" not in url:
        raise InvalidInput(
            f"RECAPTION_BROKER_URL is {url!r}; give an address that begins with one of "
            + ", ".join(f"{scheme}://" for scheme in BROKERS)
        )
    return url


def _blobs(value: str | None, home: Path) -> Path | S3Place:
    if value and "://" in value:
        return S3Place.parse(value)
    return Path(value).expanduser().absolute() if value else home / "blobs"


def _s3_account(env: Mapping[str, str]) -> S3Account:
    endpoint = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or None
    if endpoint and (not endpoint.startswith(("http://", "https://")) or "@" in endpoint):
        # Not repeated here: what stands before an @ may be a password.
        raise InvalidInput(
            "AWS_ENDPOINT_URL is no address of a storage; give one such as https://minio.example:9000, "
            "and the keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return S3Account(
        endpoint=endpoint,
        region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or None,
        access_key_id=env.get("AWS_ACCESS_KEY_ID") or None,
        secret_access_key=env.get("AWS_SECRET_ACCESS_KEY") or None,
        session_token=env.get("AWS_SESSION_TOKEN") or None,
    )


def _positive(env: Mapping[str, str], name: str, default: int) -> int:
    value = env.get(name) or str(default)
    if not value.isdigit() or int(value) == 0:
        raise InvalidInput(f"{name} is {value!r}; give a whole number above 0, such as {default}")
    return int(value)
