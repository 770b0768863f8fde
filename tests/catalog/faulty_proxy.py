"""A server in front of a storage that fails as networks and storages do, for a number of requests."""

import hashlib
import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

MISMATCH = b"<Error><Code>XAmzContentSHA256Mismatch</Code></Error>"


@dataclass
class Faults:
    """What goes wrong: `times` requests of one method whose path ends in `path`, each with `fault`."""

    fault: str = ""
    times: int = 0
    method: str = "GET"
    seconds: float = 0.0
    body: bytes = b""
    asked: list[str] = field(default_factory=list)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def strike(self, method: str) -> str:
        """The fault that this request meets, if any."""
        with self._turn:
            self.asked.append(method)
            if method != self.method or self.times <= 0:
                return ""
            self.times -= 1
            return self.fault


@contextmanager
def faulty_proxy(storage: str, faults: Faults) -> Iterator[str]:
    """The address of such a server, which hands on to `storage` whatever meets no fault."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(urlsplit(storage).netloc, faults))
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(storage: str, faults: Faults) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = faults.strike(self.command)
            if fault == "error":
                return self.reply((faults.body and 403) or 500, {}, faults.body)
            if fault == "full":
                return self.reply(507, {}, b"<Error><Code>XMinioStorageFull</Code></Error>")
            if fault == "slow":
                time.sleep(faults.seconds)
            if fault == "flip" and body:
                body = _flipped(body)
            if self.altered(body):
                # As S3 does, and the storage behind us does not.
                return self.reply(400, {}, MISMATCH)
            status, headers, answer = self.asked_of_storage(body)
            if fault == "flip" and self.command == "GET":
                answer = _flipped(answer)
            if fault == "drop":
                self.close_connection = True
                return None
            return self.reply(status, headers, answer, cut=fault == "cut")

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

        def altered(self, body: bytes) -> bool:
            claimed = self.headers.get("x-amz-content-sha256", "")
            return len(claimed) == 64 and hashlib.sha256(body).hexdigest() != claimed

        def asked_of_storage(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(storage, timeout=30)
            try:
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                return answer.status, dict(answer.getheaders()), answer.read()
            finally:
                connection.close()

        def reply(self, status: int, headers: dict[str, str], body: bytes, cut: bool = False) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if cut else body)
            if cut:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # Whoever asked has hung up, as we taught it to.
                self.close_connection = True

        def finish(self) -> None:
            with suppress(OSError):
                super().finish()

    return Handler


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
