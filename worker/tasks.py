"""The tasks that messages name. Each is one call."""

from worker import captioning
from worker.runtime import Runtime

runtime: Runtime | None = None  # set once, when the child process begins


def drain() -> None:
    """Caption what waits, and ask for another turn when there is more."""
    if runtime is None:
        raise RuntimeError("the worker's child process was not begun; start it with `recaption worker`")
    if captioning.drain(runtime):
        runtime.queue.wake()
