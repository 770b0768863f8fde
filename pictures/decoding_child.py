"""The child's side of `pictures.sandbox`: measures one file after another, under limits that it sets itself.

Both directions speak frames: two unsigned 32-bit lengths (big endian), a JSON object, and raw bytes.
"""

import json
import os
import resource
import signal
import struct
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from pictures.errors import PictureError
from pictures.intake import measure

PREFIX = struct.Struct(">II")

# The parent ends a child that is late. Should the parent be gone by then, the child ends itself, a bit later.
GRACE_SECONDS = 5.0


def pack(header: dict[str, Any], body: bytes = b"") -> bytes:
    """Build one frame."""
    encoded = json.dumps(header).encode()
    return PREFIX.pack(len(encoded), len(body)) + encoded + body


def serve(memory_limit: int, seconds: float) -> None:
    """Answer frames of standard input on standard output until it ends."""
    requests = sys.stdin.buffer
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # A C library that prints must not write into the middle of a frame.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    limit_memory(memory_limit)
    _send(replies, pack({"ready": True}))
    while prefix := requests.read(PREFIX.size):
        request = json.loads(requests.read(PREFIX.unpack(prefix)[0]))
        signal.setitimer(signal.ITIMER_REAL, seconds + GRACE_SECONDS)
        _send(replies, _answer(request))
        signal.setitimer(signal.ITIMER_REAL, 0)


def _answer(request: dict[str, Any]) -> bytes:
    try:
        sidecar = Path(request["sidecar"]) if request["sidecar"] else None
        measured = measure(Path(request["path"]), sidecar=sidecar, max_pixels=request["max_pixels"])
    except PictureError as error:
        out_of_memory = isinstance(error.__cause__, MemoryError)
        return pack({"error": type(error).__name__, "message": str(error), "spent": out_of_memory})
    fields = asdict(measured)
    rendition = fields.pop("rendition")
    return pack({"measured": fields}, rendition)


def limit_memory(memory_limit: int) -> None:
    """Let this process have so many bytes of address space at most, and write no core when it crashes."""
    # macOS knows RLIMIT_AS but refuses to set it: there, time and pixels are all that is limited.
    with suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        soft = memory_limit if hard == resource.RLIM_INFINITY else min(memory_limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _send(replies: BinaryIO, frame: bytes) -> None:
    replies.write(frame)
    replies.flush()
