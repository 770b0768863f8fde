"""Fetch what a URL names, from public hosts alone and within limits of bytes and time; nothing is trusted."""

import re
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from pictures.errors import PictureError, RefusedPicture, TooLarge

Address = IPv4Address | IPv6Address

MAX_BYTES = 512 << 20  # of one file
SECONDS = 120.0  # for one file, from the first look-up to the last byte, redirects included
CONNECT_SECONDS = 10.0  # for one address
MAX_REDIRECTS = 5
MAX_ADDRESSES = 4  # tried of one host
PORTS = (80, 443)
URL_LENGTH = 4_000  # characters
PIECE = 1 << 16  # bytes read at a time
REDIRECTS = (301, 302, 303, 307, 308)
HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
# The last 32 bits are the address of an IPv4 host.
NAT64 = IPv6Network("64:ff9b::/96")
GLOBAL_UNICAST = IPv6Network("2000::/3")


class NotFetched(PictureError):
    """A host does not answer, or not with the file."""

    reason = "not fetched"


class TookTooLong(NotFetched):
    """The file was not there when its time was over."""

    reason = "timeout"


@dataclass(frozen=True)
class Place:
    """What a URL says: whom to ask, and for what."""

    host: str
    port: int
    secure: bool
    target: str


def is_public(address: Address) -> bool:
    """Whether anybody on the internet reaches a host by this address: it is nothing of our own network.

    Refused are loopback, private, shared (100.64/10), link-local, multicast and reserved addresses (the
    registries of RFC 6890), also inside of 6to4 (RFC 3056) and NAT64 (RFC 6052), and all IPv6 addresses that
    are not global unicast, IPv4-mapped ones among them.
    """
    if isinstance(address, IPv4Address):
        return address.is_global and not (address.is_multicast or address.is_reserved)
    if address in NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    if address.sixtofour is not None:
        return is_public(address.sixtofour)
    return address in GLOBAL_UNICAST and address.is_global and address.teredo is None


def resolved(host: str, seconds: float) -> list[str]:
    """All addresses of a host. Raises OSError, TimeoutError among them."""
    answers: SimpleQueue[list[str] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            answers.put([str(address[0]) for *_, address in found])
        except (OSError, UnicodeError) as error:
            answers.put(error)

    # The system's resolver knows no deadline.
    Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise OSError(0, "it has no address") from answer
    return answer


class Fetcher:
    """Fetches files from `hosts`: names, `*.example.org` for all below one, or `*` for all.

    `resolve` gives the addresses of a host; every one must be `permitted`, and the connection goes to one of
    those that were checked. A file has `max_bytes` and `seconds` altogether. `tls` is whom to trust.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        resolve: Callable[[str, float], Sequence[str]] = resolved,
        permitted: Callable[[Address], bool] = is_public,
        ports: Collection[int] = PORTS,
        max_bytes: int = MAX_BYTES,
        seconds: float = SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._hosts = hosts
        self._resolve = resolve
        self._permitted = permitted
        self._ports = ports
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._tls = tls or ssl.create_default_context()

    def fetch(self, url: str, file: Path) -> None:
        """Write what the URL names into a new file. Raises PictureError; its words never show the URL."""
        deadline = _Deadline(self._seconds)
        place = self.place_of(url)
        try:
            for _ in range(MAX_REDIRECTS + 1):
                location = self._ask(place, file, deadline)
                if location is None:
                    return
                url = urljoin(url, location)
                before, place = place, self.place_of(url)
                if before.secure and not place.secure:
                    raise RefusedPicture(f"{before.host} redirects from https to plain http")
            raise NotFetched(f"{place.host} redirects more than {MAX_REDIRECTS} times")
        except TimeoutError as error:
            raise TookTooLong(f"{place.host} took longer than {self._seconds:g} s") from error
        except (OSError, HTTPException, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise NotFetched(f"{place.host} could not be read: {why}") from error

    def place_of(self, url: object) -> Place:
        """Where a URL leads. Raises RefusedPicture for one that nobody may name here."""
        if not isinstance(url, str) or not url or len(url) > URL_LENGTH:
            raise RefusedPicture(f"there must be a URL of up to {URL_LENGTH:,} characters")
        if any(character <= " " or character in "\\\x7f" for character in url):
            raise RefusedPicture("the URL has spaces, controls or backslashes; write %20 and the like")
        try:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https"):
                raise RefusedPicture("the URL must begin with http:// or https://")
            host, port = _host(parts.hostname or ""), parts.port
        except ValueError as error:
            raise RefusedPicture(f"the URL makes no sense: {error}") from error
        if "@" in parts.netloc:
            raise RefusedPicture(f"the URL of {host} has a user or password in it; list URLs that need none")
        if not self._is_listed(host):
            raise RefusedPicture(f"{host} is not among the hosts in RECAPTION_URL_IMPORTS")
        secure = parts.scheme == "https"
        port = port or (443 if secure else 80)
        if port not in self._ports:
            raise RefusedPicture(f"port {port} of {host} is none of {', '.join(map(str, self._ports))}")
        query = f"?{parts.query}" if parts.query else ""
        target = quote((parts.path or "/") + query, safe="/?%:@!$&'()*+,;=~-._[]")
        return Place(host=host, port=port, secure=secure, target=target)

    def _is_listed(self, host: str) -> bool:
        name = host.rstrip(".")
        return any(one in ("*", name) or (one[:2] == "*." and name.endswith(one[1:])) for one in self._hosts)

    def _ask(self, place: Place, file: Path, deadline: "_Deadline") -> str | None:
        """Ask one server, once; returns where it redirects to, or None when the file is written."""
        with self._connected(place, deadline) as opened:
            connection = (
                HTTPSConnection(place.host, place.port, context=self._tls)
                if place.secure
                else HTTPConnection(place.host, place.port)
            )
            connection.sock = _TimedSocket(opened, deadline)
            headers = {"User-Agent": "recaption", "Accept-Encoding": "identity", "Connection": "close"}
            connection.request("GET", place.target, headers=headers)
            with connection.getresponse() as response:
                location = response.getheader("Location")
                if response.status in REDIRECTS and location:
                    return location
                self._save(response, place, file)
        return None

    @contextmanager
    def _connected(self, place: Place, deadline: "_Deadline") -> Iterator[socket.socket]:
        opened = self._to_one_of(self._addresses(place, deadline), place, deadline)
        with opened:
            if not place.secure:
                yield opened
                return
            opened.settimeout(deadline.left())
            with self._tls.wrap_socket(opened, server_hostname=place.host) as secured:
                yield secured

    def _addresses(self, place: Place, deadline: "_Deadline") -> list[Address]:
        found = [_address(text, place) for text in self._resolve(place.host, deadline.left())]
        if not found:
            raise NotFetched(f"{place.host} has no address")
        for address in found:
            if not self._permitted(address):
                raise RefusedPicture(f"{place.host} has the address {address}, which is not a public one")
        return found

    def _to_one_of(self, addresses: Sequence[Address], place: Place, deadline: "_Deadline") -> socket.socket:
        """A connection to the first that answers, by its number: nobody is asked for it a second time."""
        failure: OSError = OSError(0, "no address answers")
        for address in addresses[:MAX_ADDRESSES]:
            opened = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6)
            try:
                opened.settimeout(min(CONNECT_SECONDS, deadline.left()))
                opened.connect((str(address), place.port))
                return opened
            except OSError as error:
                opened.close()
                failure = error
        raise failure

    def _save(self, response: HTTPResponse, place: Place, file: Path) -> None:
        if response.status != 200:
            raise NotFetched(f"{place.host} answered with status {response.status}")
        if (encoding := response.getheader("Content-Encoding", "identity").lower()) != "identity":
            raise NotFetched(f"{place.host} sent it packed ({encoding:.20}) although it was not asked to")
        length = 0
        with file.open("xb") as written:
            while piece := response.read(PIECE):
                length += len(piece)
                if length > self._max_bytes or length + (response.length or 0) > self._max_bytes:
                    raise TooLarge(f"{place.host} sends more than {self._max_bytes >> 20} MiB")
                written.write(piece)
        if response.length:
            raise NotFetched(f"{place.host} ended the connection {response.length} bytes too early")


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds that are left, more than 0. Raises TimeoutError."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _TimedSocket:
    """A socket as http.client uses it; every call ends at the deadline, however slowly bytes drip."""

    def __init__(self, opened: socket.socket, deadline: _Deadline) -> None:
        self._opened = opened
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._opened.settimeout(self._deadline.left())
        self._opened.sendall(data)

    def makefile(self, *_: Any) -> BufferedReader:
        return BufferedReader(_Received(self._opened, self._deadline))

    def close(self) -> None:
        """http.client closes before the body is read; whoever opened the socket closes it."""


class _Received(RawIOBase):
    def __init__(self, opened: socket.socket, deadline: _Deadline) -> None:
        self._opened = opened
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._opened.settimeout(self._deadline.left())
        return self._opened.recv_into(buffer)


def _host(name: str) -> str:
    """A host's name as it is asked for, or its address. Raises ValueError."""
    if ":" in name:
        return str(IPv6Address(name))
    ascii_name = name.encode("idna").decode("ascii").lower()
    if not HOST.fullmatch(ascii_name):
        raise ValueError("it names no host")
    return ascii_name


def _address(text: str, place: Place) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise RefusedPicture(f"{place.host} has the address {text!r:.60}, which makes no sense") from None
