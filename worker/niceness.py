"""Who waits on a processor: what computes gives way to the pages that people look at."""

import os
from contextlib import suppress
from pathlib import Path

NICENESS = 5  # a quarter of a processor that others want all of: leases have to be renewed in time


def give_way(process: int) -> None:
    """Have a process, and what it will start, wait for those others that want the processor.

    Linux may share a processor out among sessions first (autogroup, sched(7)), so that niceness counts only
    within one. A session that this process or its parent leads is ours, and gives way as a whole; one that
    somebody started us from is not.
    """
    # Who was started nicer stays so, and may not even become less nice.
    niceness = max(NICENESS, os.getpriority(os.PRIO_PROCESS, process))
    os.setpriority(os.PRIO_PROCESS, process, niceness)
    if os.getsid(process) in (process, os.getppid()):
        with suppress(OSError):
            Path(f"/proc/{process}/autogroup").write_text(str(niceness), encoding="ascii")
