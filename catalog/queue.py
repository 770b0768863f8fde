"""Wake-ups for workers. The database owns the work: a lost message costs time and nothing else."""

from collections.abc import Callable

from celery import Celery
from kombu.exceptions import OperationalError

from catalog.schema import JobKind
from catalog.settings import Settings

FOLDER_TRANSPORT = "catalog.folder_transport:Transport"
DRAIN = "recaption.drain"  # the task that claims chunk after chunk
TRAIN = "recaption.train"  # the task that claims a train job and sees it through
CAPTION_QUEUE = "caption"
TRAIN_QUEUE = "train"
TASKS = {CAPTION_QUEUE: DRAIN, TRAIN_QUEUE: TRAIN}
WAKE_UP_LIFE = 60.0  # seconds after which an undelivered wake-up is worthless
CONNECT_TIMEOUT = 0.5  # seconds
PUBLISH_TIMEOUT = 0.5  # seconds; also a broker that hangs must not hold up who asks for work
SOCKET_TIMEOUT = 30.0  # seconds; longer than a blocking read of a worker


def broker_options(settings: Settings, *, socket_timeout: float) -> dict[str, object]:
    """Celery's broker settings, the same for those who publish and those who work but for their patience."""
    return {
        "broker_url": settings.broker_url,
        "broker_transport": FOLDER_TRANSPORT if settings.embedded_broker else None,
        "broker_transport_options": _transport_options(settings, socket_timeout),
        "broker_connection_timeout": CONNECT_TIMEOUT,
        "broker_connection_retry_on_startup": True,
        # A broker may be away for a weekend.
        "broker_connection_max_retries": None,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_default_queue": CAPTION_QUEUE,
    }


def queue_of(kind: JobKind) -> str:
    """The queue whose workers do jobs of this kind."""
    return TRAIN_QUEUE if kind is JobKind.TRAIN else CAPTION_QUEUE


class Queue:
    """The publishing end of the broker. `trouble` says why the broker could not be reached the last time."""

    def __init__(self, settings: Settings) -> None:
        self.app = Celery("recaption", set_as_current=False)
        self.app.conf.update(broker_options(settings, socket_timeout=PUBLISH_TIMEOUT))
        self.trouble: str | None = None

    def wake(self, times: int = 1, *, queue: str = CAPTION_QUEUE) -> bool:
        """Publish a wake-up for each of `times` workers; False, within a second, when the broker is down."""
        return self._reach(lambda: self._publish(times, queue))

    def probe(self) -> bool:
        """Ask whether the broker answers, within a second; `trouble` is true to that afterwards."""
        return self._reach(self._connect)

    def _publish(self, times: int, queue: str) -> None:
        for _ in range(times):
            self.app.send_task(
                TASKS[queue], queue=queue, expires=WAKE_UP_LIFE, retry=False, ignore_result=True
            )

    def _connect(self) -> None:
        with self.app.connection_for_write() as connection:
            try:
                # Opening a channel takes an answer from the server; connecting alone does not.
                connection.default_channel.close()
            except (*connection.connection_errors, *connection.channel_errors) as error:
                raise OperationalError(str(error)) from error

    def _reach(self, act: Callable[[], None]) -> bool:
        try:
            act()
        except (OperationalError, OSError) as error:
            self.trouble = str(error) or type(error).__name__
            return False
        self.trouble = None
        return True


def _transport_options(settings: Settings, socket_timeout: float) -> dict[str, object]:
    if settings.embedded_broker:
        settings.prepare_home()
        folders = {name: settings.broker_folder / name for name in ("messages", "control")}
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        messages = str(folders["messages"])
        return {
            "data_folder_in": messages,
            "data_folder_out": messages,
            "control_folder": str(folders["control"]),
            "store_processed": False,
        }
    return {
        "max_retries": 0,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": socket_timeout,
    }
