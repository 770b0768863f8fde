"""Wake-ups for workers. The database owns the work: a lost message costs time and nothing else."""

from celery import Celery
from kombu.exceptions import OperationalError

from catalog.settings import Settings

DRAIN = "recaption.drain"  # the task that claims chunk after chunk
CAPTION_QUEUE = "caption"
WAKE_UP_LIFE = 60.0  # seconds after which an undelivered wake-up is worthless
CONNECT_TIMEOUT = 0.5  # seconds
SOCKET_TIMEOUT = 30.0  # seconds; longer than a blocking read of a worker


def broker_options(settings: Settings) -> dict[str, object]:
    """Celery's broker settings, the same for those who publish and those who work."""
    return {
        "broker_url": settings.broker_url,
        "broker_transport_options": _transport_options(settings),
        "broker_connection_timeout": CONNECT_TIMEOUT,
        "broker_connection_retry_on_startup": True,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_default_queue": CAPTION_QUEUE,
    }


class Queue:
    """The publishing end of the broker."""

    def __init__(self, settings: Settings) -> None:
        self.app = Celery("recaption", set_as_current=False)
        self.app.conf.update(broker_options(settings))

    def wake(self, times: int = 1) -> bool:
        """Publish a wake-up for each of `times` workers; False, within a second, when the broker is down."""
        try:
            for _ in range(times):
                self.app.send_task(
                    DRAIN, queue=CAPTION_QUEUE, expires=WAKE_UP_LIFE, retry=False, ignore_result=True
                )
        except OperationalError:
            return False
        return True


def _transport_options(settings: Settings) -> dict[str, object]:
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
        "socket_timeout": SOCKET_TIMEOUT,
    }
