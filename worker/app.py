"""The Celery application of one worker: one child process, which holds the captioner."""

import signal
import sys
from importlib.metadata import version

from billiard import get_context
from celery import Celery, signals

from catalog import workers
from catalog.commands import opened
from catalog.queue import CAPTION_QUEUE, DRAIN, Queue, broker_options
from catalog.reconciler import Reconciler
from catalog.settings import Settings
from worker import tasks
from worker.runtime import Runtime

HARD_LIMIT = 180  # seconds after which a hung drain is killed


def create_app(settings: Settings) -> Celery:
    """The application with its one task and the rules of the queue."""
    app = Celery("recaption")
    app.conf.update(
        broker_options(settings),
        # A message is a wake-up: it is acknowledged before the work, and never delivered again.
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_concurrency=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=True,
        task_time_limit=HARD_LIMIT,
    )
    app.task(tasks.drain, name=DRAIN)
    return app


def run(settings: Settings, *, name: str, device: str, log_level: str) -> None:
    """Work until SIGTERM or Ctrl+C, then exit: announce the worker and hand over to Celery."""
    database = opened(settings)
    with database.writing() as session:
        worker_id = workers.register(session, name=name, device=device, version=version("recaption"))
    stopping = get_context("fork").Event()

    def beat() -> None:
        with database.writing() as session:
            workers.beat(session, worker_id)

    reconciler = Reconciler(database, Queue(settings), before=beat)

    def begin_child(**_: object) -> None:
        # A service manager may signal the whole group; this process hears of it from its parent.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        tasks.runtime = Runtime(settings=settings, worker_id=worker_id, device=device, stopping=stopping)

    def begin(**_: object) -> None:
        reconciler.start()

    def begin_to_stop(**_: object) -> None:
        # Celery tells only this process; the child reads the event between two batches.
        stopping.set()

    signals.worker_process_init.connect(begin_child, weak=False)
    signals.worker_ready.connect(begin, weak=False)
    signals.worker_shutting_down.connect(begin_to_stop, weak=False)
    worker = create_app(settings).Worker(
        hostname=f"recaption@{name}",
        pool_cls="prefork",
        queues=CAPTION_QUEUE,
        loglevel=log_level,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    sys.exit(worker.exitcode)
