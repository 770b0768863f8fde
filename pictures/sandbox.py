"""Measure untrusted files in a child process, which may run out of memory, hang or crash without harm."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pictures.decoding_child import PREFIX, pack
from pictures.description import EmbeddedCaption
from pictures.errors import CorruptPicture, NotAnImage, PictureError, RefusedPicture, TooLarge
from pictures.intake import Measured
from pictures.opening import MAX_PIXELS, label_of

MEMORY_LIMIT = 4 << 30
"""Default limit of a child's address space, in bytes."""

SECONDS = 60.0
"""Default limit of time a file."""

# `pictures` alone comes from beside this file, so that neither another installed copy nor, with -I, the
# working directory or the caller's environment decides what the child runs.
_CHILD = """
import sys
sys.path.insert(0, {root!r})
import pictures
del sys.path[0]
from pictures.decoding_child import serve
serve({memory_limit!r}, {seconds!r})
"""
_ROOT = str(Path(__file__).resolve().parents[1])

# Of the environment nothing is handed on: hostile bytes shall find no password there. OpenBLAS would reserve
# address space for every core.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}

_START_SECONDS = 60.0
_LONGEST_ANSWER = 16 << 20
_ERRORS = {
    kind.__name__: kind for kind in (PictureError, NotAnImage, CorruptPicture, TooLarge, RefusedPicture)
}


class _ChildLost(Exception):
    """The child ended, or no longer makes sense."""


class DecodingProcess:
    """Owns one long-lived child, started on first use and replaced when it is lost; use it as a context.

    A picture of more than `max_pixels` is refused. `memory_limit` is the child's address space in bytes
    (macOS does not enforce it), `seconds` the time one file may take. Threads may share it and take turns;
    after a fork, the new process needs one of its own.
    """

    def __init__(
        self, *, max_pixels: int = MAX_PIXELS, memory_limit: int = MEMORY_LIMIT, seconds: float = SECONDS
    ) -> None:
        self._max_pixels = max_pixels
        self._memory_limit = memory_limit
        self._seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._turn:
            self._stop()

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is no child."""
        return self._child.pid if self._child else None

    def measure(self, path: Path, *, sidecar: Path | None = None) -> Measured:
        """Do what `pictures.intake.measure` does, in the child.

        Raises PictureError, and RefusedPicture where this file hits a limit or crashes the decoder;
        RuntimeError where no child can be started at all.
        """
        label = label_of(path)
        beside = os.path.abspath(sidecar) if sidecar else None
        request = pack({"path": os.path.abspath(path), "sidecar": beside, "max_pixels": self._max_pixels})
        with self._turn:
            header, rendition = self._answer(request, label)
            if header.get("spent"):
                self._stop()
        if "error" in header:
            raise _ERRORS[header["error"]](header["message"])
        fields = header["measured"]
        fields["notes"] = tuple(fields["notes"])
        fields["captions"] = tuple(EmbeddedCaption(**caption) for caption in fields["captions"])
        return Measured(**fields, rendition=rendition)

    def _answer(self, request: bytes, label: str) -> tuple[dict[str, Any], bytes]:
        try:
            try:
                return self._exchange(request)
            except _ChildLost:
                # It may have been lost before, or to somebody else's hunger: only a file that a fresh child
                # does not survive either is guilty.
                self._stop()
                return self._exchange(request)
        except TimeoutError:
            self._stop()
            message = (
                f"{label} took longer than {self._seconds:g} s to decode; scale it down or save it as JPEG"
            )
            raise RefusedPicture(message) from None
        except _ChildLost:
            ending = self._stop(patience=1.0)
            message = f"{label} crashes the decoder ({ending}); export it again, perhaps in another format"
            raise RefusedPicture(message) from None
        except BaseException:
            # An answer that nobody waits for any more must not be taken for the next file's.
            self._stop()
            raise

    def _exchange(self, request: bytes) -> tuple[dict[str, Any], bytes]:
        child = self._running()
        deadline = time.monotonic() + self._seconds
        assert child.stdin
        try:
            child.stdin.write(request)
        except BrokenPipeError as error:
            raise _ChildLost from error
        return _read_frame(child, deadline)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child and self._child.poll() is not None:
            self._stop()
        if not self._child:
            self._child = self._started()
        return self._child

    def _started(self) -> subprocess.Popen[bytes]:
        code = _CHILD.format(root=_ROOT, memory_limit=self._memory_limit, seconds=self._seconds)
        child = self._child = subprocess.Popen(
            [sys.executable, "-I", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,  # Ctrl+C is the parent's business.
        )
        try:
            _read_frame(child, time.monotonic() + _START_SECONDS)
        except (TimeoutError, _ChildLost) as error:
            ending = self._stop(patience=1.0)
            raise RuntimeError(
                f"the decoding process did not start ({ending}); see its error output, "
                f"and give it more memory than {self._memory_limit >> 20} MiB"
            ) from error
        return child

    def _stop(self, *, patience: float = 0.0) -> str:
        """End the child, after `patience` seconds in which it may end by itself; say how it ended."""
        child, self._child = self._child, None
        if child is None:
            return "not running"
        try:
            child.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            child.kill()
        with child:
            return _ending(child.wait())


def _read_frame(child: subprocess.Popen[bytes], deadline: float) -> tuple[dict[str, Any], bytes]:
    assert child.stdout
    answers = child.stdout.fileno()
    header_length, body_length = PREFIX.unpack(_read(answers, PREFIX.size, deadline))
    if header_length + body_length > _LONGEST_ANSWER:
        raise _ChildLost
    header_bytes = _read(answers, header_length, deadline)
    body = _read(answers, body_length, deadline)
    try:
        return json.loads(header_bytes), body
    except ValueError as error:
        raise _ChildLost from error


def _read(descriptor: int, length: int, deadline: float) -> bytes:
    # poll, because select knows no descriptor beyond 1,023 and a server may have more.
    readable = select.poll()
    readable.register(descriptor, select.POLLIN)
    received = bytearray()
    while len(received) < length:
        seconds_left = deadline - time.monotonic()
        if seconds_left <= 0 or not readable.poll(seconds_left * 1000):
            raise TimeoutError
        piece = os.read(descriptor, length - len(received))
        if not piece:
            raise _ChildLost
        received += piece
    return bytes(received)


def _ending(status: int) -> str:
    if status >= 0:
        return f"exit code {status}"
    return signal.strsignal(-status) or f"signal {-status}"
