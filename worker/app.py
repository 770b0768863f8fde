"""The Celery application of one worker: one child process, which holds the captioner."""

import logging
import os
import signal
import sys
from functools import partial
from importlib.metadata import version

from celery import Celery, signals
from sqlalchemy.exc import SQLAlchemyError

from catalog import reconciler, workers
from catalog.commands import opened
from catalog.database import Database
from catalog.errors import StorageFull
from catalog.periodic import Periodic
from catalog.queue import DRAIN, SOCKET_TIMEOUT, TRAIN, TRAIN_QUEUE, Queue, broker_options
from catalog.settings import Settings
from worker import tasks
from worker.niceness import give_way
from worker.runtime import Runtime
from worker.shared import Flag, Message, Setbacks

log = logging.getLogger(__name__)

HARD_LIMIT = 180  # seconds after which a hung drain is killed


def create_app(settings: Settings, queue: str) -> Celery:
    """The application with its tasks and the rules of the queue that this worker serves."""
    app = Celery("recaption")
    app.conf.update(
        broker_options(settings, socket_timeout=SOCKET_TIMEOUT),
        # A message is a wake-up: it is acknowledged before the work, and never delivered again.
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_concurrency=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=True,
        # A training takes as long as it takes: its worker looks each second whether it gets on.
        task_time_limit=None if queue == TRAIN_QUEUE else HARD_LIMIT,
    )
    app.task(tasks.drain, name=DRAIN)
    app.task(tasks.train, name=TRAIN)
    return app


def run(settings: Settings, *, name: str, device: str, queue: str, log_level: str) -> None:
    """Work at a queue until SIGTERM or Ctrl+C, then exit: announce the worker and hand over to Celery."""
    # Until Celery listens itself, an order to end has to unwind the stack as well.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    database, broker = opened(settings), Queue(settings)
    # SQLite's locks are those of a process: a child that inherits a connection believes that it holds them.
    # What is registered first runs last, behind the pauses of the threads below.
    os.register_at_fork(before=database.close)
    announce = partial(workers.register, name=name, device=device, queue=queue, version=version("recaption"))
    with database.writing() as session:
        worker_id = announce(session)
    stopping, setbacks, said = Flag(), Setbacks(), Message()

    def beat() -> None:
        out_of_reach = f"it cannot reach the broker: {broker.trouble}" if broker.trouble else None
        trouble = setbacks.trouble or said.text or out_of_reach
        with database.writing() as session:
            if not workers.beat(session, worker_id, trouble=trouble):
                announce(session, worker_id=worker_id)

    def reconcile() -> None:
        reconciler.reconcile(database, broker)
        with database.writing() as session:
            workers.refuse_newer(session, name, queue=queue)

    threads = (
        Periodic("heartbeat", beat, period=(workers.BEAT, workers.BEAT)),
        Periodic("reconciler", reconcile, period=reconciler.PERIOD),
    )

    def begin_child(**_: object) -> None:
        # A service manager may signal the whole group; this process hears of it from its parent.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if device == "cpu":
            give_way(os.getpid())
        runtime = Runtime(
            settings=settings,
            worker_id=worker_id,
            name=name,
            device=device,
            stopping=stopping,
            setbacks=setbacks,
            trouble=said,
            work_queue=queue,
        )
        tasks.begin(runtime)

    def begin_to_stop(**_: object) -> None:
        # Celery tells only this process; the child reads the flag between two batches.
        stopping.set()

    signals.worker_process_init.connect(begin_child, weak=False)
    signals.worker_shutting_down.connect(begin_to_stop, weak=False)
    try:
        # Before Celery begins, which waits for as long as the broker is away.
        for thread in threads:
            thread.start()
        _work(settings, name=name, queue=queue, log_level=log_level)
    finally:
        for thread in threads:
            thread.stop()
        _say_goodbye(database, worker_id)


def _work(settings: Settings, *, name: str, queue: str, log_level: str) -> None:
    """Run Celery's worker until it is told to end, and exit as it does."""
    worker = create_app(settings, queue).Worker(
        hostname=f"recaption@{name}",
        pool_cls="prefork",
        queues=queue,
        loglevel=log_level,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    sys.exit(worker.exitcode)


def _say_goodbye(database: Database, worker_id: int) -> None:
    try:
        with database.writing() as session:
            workers.say_goodbye(session, worker_id)
    except (SQLAlchemyError, StorageFull) as error:
        log.warning("the database did not hear that this worker ended, and will count it as dead: %s", error)
