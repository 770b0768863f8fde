"""Redis, PostgreSQL and RabbitMQ on ports of their own, which tests stop, kill, freeze and restart."""

import os
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from uuid import uuid4

import psycopg
import redis
from kombu import Connection

from tests.conftest import missing_service
from tests.faults.processes import Processes, free_port, signal_session, wait_until

POSTGRESQL_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the one in the path changes its user


class Server(ABC):
    """One server. It keeps its port and its folder for as long as the test run lasts."""

    name: str
    user: str | None = None
    environment: Mapping[str, str] | None = None
    stop_signal = signal.SIGTERM
    starts_within = 30.0  # seconds

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.port = free_port()
        self.folder = processes.folder(f"recaption-{self.name}-", self.user)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    def answers(self) -> bool: ...

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if not self.running:
            log = self.folder / "log"
            self.process = self.processes.start(
                self.command, log=log, env=self.environment, user=self.user, cwd=self.folder
            )
        wait_until(self.answers, f"{self.name} answers on port {self.port}", self.starts_within)

    def stop(self) -> None:
        """Stop it in order."""
        if self.process:
            self.processes.end(self.process, self.stop_signal)
            self.process = None

    def kill(self) -> None:
        if self.process:
            self.processes.kill(self.process)
            self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill_and_start(self) -> None:
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Let it accept connections, as the kernel does, and never answer."""
        assert self.process
        signal_session(self.process, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process
        signal_session(self.process, signal.SIGCONT)


class Redis(Server):
    """Redis in memory alone: a restart loses all messages."""

    name = "redis"

    def __init__(self, processes: Processes) -> None:
        if shutil.which("redis-server") is None:
            missing_service("redis-server is not installed")
        super().__init__(processes)
        self.url = f"redis://127.0.0.1:{self.port}/0"

    @property
    def command(self) -> list[str]:
        place = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        return ["redis-server", *place, "--save", "", "--appendonly", "no"]

    def answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def empty(self) -> None:
        with redis.Redis.from_url(self.url, socket_timeout=10) as client:
            client.flushall()


class PostgreSQL(Server):
    """A PostgreSQL that stops at once, as after a crash, and trusts everybody on this machine."""

    name = "postgresql"
    stop_signal = signal.SIGQUIT  # what `pg_ctl stop -m immediate` sends

    def __init__(self, processes: Processes) -> None:
        if not POSTGRESQL_FOLDERS:
            missing_service("no PostgreSQL is installed below /usr/lib/postgresql")
        # It refuses to run as root.
        self.user = "postgres" if os.geteuid() == 0 else None
        super().__init__(processes)
        self.data = self.folder / "data"
        make = [str(self._binary("initdb")), "--username=postgres", "--auth=trust", "--no-sync"]
        making = processes.start(
            [*make, "--encoding=UTF8", "--locale=C.UTF-8", str(self.data)],
            log=self.folder / "log",
            user=self.user,
            cwd=self.folder,
        )
        assert making.wait(timeout=60) == 0, (self.folder / "log").read_text()

    @property
    def command(self) -> list[str]:
        # A crash of the server loses nothing without fsync; one of the machine would.
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "64MB",
            "max_connections": "200",
        }
        settings = [word for option in options.items() for word in ("-c", "=".join(option))]
        return [str(self._binary("postgres")), "-D", str(self.data), "-p", str(self.port), *settings]

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def new_database(self) -> str:
        """The URL of a new database with our tables."""
        name = f"recaption_{uuid4().hex[:12]}"
        template = self._migrated
        with psycopg.connect(self.url(), autocommit=True) as server:
            server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')  # type: ignore[arg-type]
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, and whoever still uses it."""
        name = url.rpartition("/")[2]
        with psycopg.connect(self.url(), autocommit=True) as server:
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')  # type: ignore[arg-type]

    @cached_property
    def _migrated(self) -> str:
        from catalog.database import migrate

        with psycopg.connect(self.url(), autocommit=True) as server:
            server.execute("CREATE DATABASE migrated")
        migrate(self.url("migrated"))
        return "migrated"

    def _binary(self, name: str) -> Path:
        return POSTGRESQL_FOLDERS[-1] / name


class RabbitMQ(Server):
    """A RabbitMQ node with its own port mapper, without plugins."""

    name = "rabbitmq"
    starts_within = 90.0

    def __init__(self, processes: Processes) -> None:
        if not RABBITMQ.exists() or shutil.which("epmd") is None:
            missing_service("RabbitMQ is not installed")
        super().__init__(processes)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        mapper = free_port()
        plugins = self.folder / "enabled_plugins"
        plugins.write_text("[].\n")
        self.environment = {
            **os.environ,
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"recaption{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "no-config"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RUNNING_UNDER_SYSTEMD": "yes",  # one process, without a shell around it
        }
        mapping = ["epmd", "-port", str(mapper), "-address", "127.0.0.1"]
        processes.start(mapping, log=self.folder / "epmd.log", cwd=self.folder)

    @property
    def command(self) -> list[str]:
        return [str(RABBITMQ)]

    def answers(self) -> bool:
        try:
            with Connection(self.url, connect_timeout=5) as connection:
                connection.connect()
        except (OSError, *Connection(self.url).connection_errors):
            return False
        return True

    def empty(self) -> None:
        """Throw away the messages that nobody fetched."""
        from catalog.queue import CAPTION_QUEUE

        with Connection(self.url, connect_timeout=5) as connection:
            connection.default_channel.queue_delete(CAPTION_QUEUE)
