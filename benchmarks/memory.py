"""Whether captioning needs more memory for many photos than for few."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.rows import Row
from catalog.settings import own_command

FEW = 1000


def measure(photos: Sequence[Path], *, many: int, device: str) -> list[Row]:
    """Peak resident memory of `recaption caption` on `many` files, against that on 1,000."""
    with TemporaryDirectory(prefix="recaption-benchmark-") as folder:
        copies = _copied(photos, Path(folder) / "photos")
        peaks = {
            count: _peak(_linked(copies, Path(folder) / str(count), count), device) for count in (FEW, many)
        }
    return [
        Row(
            name=f"peak memory at {many:,} photos / at {FEW:,}",
            ratio=round(peaks[many] / peaks[FEW], 3),
            medians={f"{count:,} photos": round(peak / 2**20, 1) for count, peak in peaks.items()},
            unit="MiB",
            at_most=1.1,
        )
    ]


def _copied(photos: Sequence[Path], folder: Path) -> list[Path]:
    """The photos where links can be made to them, whatever file system they lie on."""
    folder.mkdir()
    return [shutil.copyfile(photo, folder / f"{number}.jpg") for number, photo in enumerate(photos)]


def _linked(photos: Sequence[Path], folder: Path, count: int) -> Path:
    """A folder with so many files, which are the photos again and again."""
    folder.mkdir()
    for number, photo in enumerate(islice(cycle(photos), count)):
        os.link(photo, folder / f"{number:07}.jpg")
    return folder


def _peak(folder: Path, device: str) -> int:
    """Bytes of memory that captioning a folder took at most."""
    command = own_command("caption", str(folder), "--device", device)
    captions = subprocess.Popen(
        [*command, "--output", str(folder.with_suffix(".jsonl"))], stderr=subprocess.PIPE
    )
    _, status, used = os.wait4(captions.pid, 0)
    captions.returncode = os.waitstatus_to_exitcode(status)
    if captions.returncode or captions.stderr is None:
        raise RuntimeError(f"recaption caption {folder} ended with {captions.returncode}")
    captions.stderr.close()
    # Linux counts in KiB, macOS in bytes.
    return used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
