"""What is fetched of URLs, from real servers on this machine, and above all what is not."""

import gzip
import os
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from threading import Event

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from catalog.imports.fetching import Address, Fetcher, NotFetched, TookTooLong, is_public, resolved
from pictures.errors import PictureError, RefusedPicture, TooLarge
from tests.catalog.web_server import Server, redirects, sends

LOOPBACK = ip_address("127.0.0.1")
PRIVATE = "10.0.0.7"


@pytest.fixture
def fetched(server: Server, tmp_path: Path) -> Callable[..., bytes]:
    """A function that fetches a path of `server`, which every name leads to."""

    def run(path: str, **options: object) -> bytes:
        options = {"resolve": lambda host, seconds: ["127.0.0.1"], "permitted": only_loopback, **options}
        fetcher = Fetcher(["*"], ports=[server.port], **options)  # type: ignore[arg-type]
        url = path if "://" in path else f"http://photos.example:{server.port}{path}"
        fetcher.fetch(url, tmp_path / "fetched")
        return (tmp_path / "fetched").read_bytes()

    return run


Fetched = Callable[..., bytes]


def only_loopback(address: Address) -> bool:
    return address == LOOPBACK


def test_a_file_is_fetched_by_its_address_under_the_name_of_its_host(
    fetched: Fetched, server: Server
) -> None:
    body = os.urandom(300_000)
    server.answers["/a%20b/%C3%BC.jpg"] = sends(body, Content_Type="text/html")
    assert fetched("/a%20b/\u00fc.jpg?size=full") == body
    assert server.asked == [("/a%20b/%C3%BC.jpg?size=full", f"photos.example:{server.port}")]


def test_chunks_and_bodies_without_a_length_are_read_to_their_end(fetched: Fetched, server: Server) -> None:
    def chunked(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    def to_the_end(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"abcdef")

    server.answers = {"/chunked": chunked, "/end": to_the_end}
    assert fetched("/chunked") == b"abcde"


@pytest.mark.parametrize("status", [404, 403, 500, 204, 304])
def test_a_host_that_has_no_such_file_says_so(fetched: Fetched, server: Server, status: int) -> None:
    server.answers["/gone.jpg"] = sends(b"", status)
    with pytest.raises(NotFetched, match=rf"^photos\.example answered with status {status}$"):
        fetched("/gone.jpg")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(fetched: Fetched, server: Server, status: int) -> None:
    server.answers = {
        "/a": redirects("/deep/b", status),
        "/deep/b": redirects("c"),
        "/deep/c": sends(b"here"),
    }
    assert fetched("/a") == b"here"


def test_five_redirects_are_followed_and_no_more(fetched: Fetched, server: Server) -> None:
    server.answers = {f"/{number}": redirects(f"/{number + 1}") for number in range(6)}
    with pytest.raises(NotFetched, match="redirects more than 5 times"):
        fetched("/0")
    assert len(server.asked) == 6


def test_a_redirect_to_a_private_address_is_refused_unasked(fetched: Fetched, server: Server) -> None:
    asked = []

    def resolve(host: str, seconds: float) -> list[str]:
        asked.append(host)
        return [PRIVATE if host == "inside.example" else "127.0.0.1"]

    server.answers["/a"] = redirects(f"http://inside.example:{server.port}/admin")
    with pytest.raises(RefusedPicture, match=r"inside\.example has the address 10\.0\.0\.7"):
        fetched("/a", resolve=resolve)
    assert asked == ["photos.example", "inside.example"]
    assert [path for path, _ in server.asked] == ["/a"]


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("file:///etc/passwd", "http://"),
        ("ftp://photos.example/a", "http://"),
        ("gopher://photos.example/", "http://"),
        ("http://user:secret@photos.example/", "user or password"),
        ("http://photos.example:22/", "port 22"),
        ("http://photos.example /", "spaces"),
        ("http://[::1/", "makes no sense|could not be read"),
    ],
)
def test_a_redirect_is_checked_like_a_listed_url(
    fetched: Fetched, server: Server, location: str, why: str
) -> None:
    server.answers["/a"] = redirects(location)
    with pytest.raises(PictureError, match=why) as told:
        fetched("/a")
    assert "secret" not in str(told.value)
    assert len(server.asked) == 1


def test_a_name_that_leads_elsewhere_the_second_time_is_not_asked_again(
    fetched: Fetched, server: Server
) -> None:
    answers = iter([["127.0.0.1"], [PRIVATE]])
    server.answers = {"/a": sends(b"here"), "/again": redirects("/a")}
    assert fetched("/a", resolve=lambda host, seconds: next(answers)) == b"here"
    answers = iter([["127.0.0.1"], [PRIVATE]])
    with pytest.raises(RefusedPicture, match="not a public one"):
        fetched("/again", resolve=lambda host, seconds: next(answers))


def test_every_address_of_a_host_must_be_a_public_one(fetched: Fetched, server: Server) -> None:
    with pytest.raises(RefusedPicture, match=r"10\.0\.0\.7"):
        fetched("/a", resolve=lambda host, seconds: ["127.0.0.1", PRIVATE])
    assert server.asked == []


def test_the_next_address_is_tried_where_one_does_not_answer(fetched: Fetched, server: Server) -> None:
    server.answers["/a"] = sends(b"here")
    addresses = ["127.0.0.2", "127.0.0.1"]
    found = fetched("/a", resolve=lambda host, seconds: addresses, permitted=lambda address: True)
    assert found == b"here"


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_large_or_never_ends_is_cut_off(
    fetched: Fetched, server: Server, declared: bool
) -> None:
    sent = 0

    def endless(request: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        request.send_response(200)
        if declared:
            request.send_header("Content-Length", str(1 << 40))
        request.end_headers()
        while True:
            sent += request.wfile.write(bytes(1 << 16))

    server.answers["/endless"] = endless
    with pytest.raises(TooLarge, match="more than 1 MiB"):
        fetched("/endless", max_bytes=1 << 20)
    assert sent < 32 << 20


@pytest.mark.parametrize("slow", ["status", "headers", "body", "continue", "chunks"])
def test_bytes_that_drip_end_at_the_deadline(fetched: Fetched, server: Server, slow: str) -> None:
    before = {
        "status": b"",
        "headers": b"HTTP/1.1 200 OK\r\nX-Slow: ",
        "body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
        "continue": b"",
        "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    }[slow]
    drop = {"continue": b"HTTP/1.1 100 Continue\r\n\r\n", "chunks": b"1\r\nx\r\n"}.get(slow, b"x")

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(before)
        while True:  # until nobody listens
            request.wfile.write(drop)
            request.wfile.flush()
            time.sleep(0.02)

    server.answers["/slow"] = drip
    with pytest.raises(TookTooLong, match=r"longer than 0\.5 s"):
        fetched("/slow", seconds=0.5)


def test_a_resolver_that_does_not_answer_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    over = Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: over.wait() and [])
    with pytest.raises(TimeoutError):
        resolved("photos.example", 0.2)
    over.set()


def test_a_file_that_comes_packed_is_not_unpacked(fetched: Fetched, server: Server) -> None:
    bomb = gzip.compress(bytes(50 << 20))
    server.answers = {
        "/said": sends(bomb, Content_Encoding="gzip"),
        "/unsaid": sends(bomb, Content_Type="application/gzip"),
    }
    with pytest.raises(NotFetched, match="packed"):
        fetched("/said")
    assert fetched("/unsaid") == bomb


def test_a_connection_that_ends_early_is_told_from_a_whole_file(fetched: Fetched, server: Server) -> None:
    server.answers["/cut"] = sends(b"half", Content_Length="8")
    with pytest.raises(NotFetched, match=r"4 bytes too early|IncompleteRead"):
        fetched("/cut")


def test_an_answer_that_is_no_http_is_an_error_of_that_file_alone(fetched: Fetched, server: Server) -> None:
    server.answers["/odd"] = lambda request: request.wfile.write(b"\x00\xff" * 1000) and None
    with pytest.raises(NotFetched, match=r"photos\.example could not be read"):
        fetched("/odd")


def test_no_proxy_of_the_environment_is_asked(
    fetched: Fetched, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    server.answers["/a"] = sends(b"here")
    assert fetched("/a") == b"here"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "there must be a URL"),
        (None, "there must be a URL"),
        ("http://photos.example/" + "a" * 5000, "there must be a URL"),
        ("photos.example/a.jpg", "must begin with|names no host|makes no sense"),
        ("http:///a.jpg", "makes no sense"),
        ("ftp://photos.example/a.jpg", "must begin with"),
        ("http://ada:secret@photos.example/", "user or password"),
        ("http://photos.example:8080/", "port 8080"),
        ("http://photos.example:99999/", "makes no sense"),
        ("http://photos.example\\@evil.example/", "backslashes"),
        ("http://photos.example/a\r\nHost: evil.example", "controls"),
        ("http://evil.example/", "not among the hosts"),
        ("http://photos.example.evil.example/", "not among the hosts"),
        ("http://badmuseum.example/", "not among the hosts"),
        ("http://museum.example/", "not among the hosts"),
        ("http://[fe80::1%25eth0]/", "makes no sense|not among"),
    ],
)
def test_what_may_not_be_named_is_refused_before_anybody_is_asked(url: object, why: str) -> None:
    def resolve(host: str, seconds: float) -> Sequence[str]:
        raise AssertionError(host)

    fetcher = Fetcher(["photos.example", "*.museum.example"], resolve=resolve)
    with pytest.raises(RefusedPicture, match=why) as told:
        fetcher.place_of(url)
    assert "secret" not in str(told.value)


def test_hosts_are_listed_by_name_or_below_a_name() -> None:
    fetcher = Fetcher(["photos.example", "*.museum.example"])
    assert fetcher.place_of("https://PHOTOS.example./a").port == 443
    assert fetcher.place_of("http://a.b.museum.example").target == "/"
    assert Fetcher(["*"]).place_of("http://m\u00fcseum.example/").host == "xn--mseum-kva.example"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "10.0.0.7",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.127.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "::1",
        "::",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.7",
        "::ffff:8.8.8.8",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "2002:7f00:1::",
        "2002:a00:7::",
        "2002:a9fe:a9fe::",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.7",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::8.8.8.8",
        "100::1",
        "4000::1",
    ],
)
def test_addresses_that_are_not_for_everybody_are_refused(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1", "64:ff9b::8.8.8.8"])
def test_public_addresses_are_permitted(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::1]", "0"])
def test_every_spelling_of_this_machine_is_refused(host: str, tmp_path: Path) -> None:
    with pytest.raises(PictureError) as told:
        Fetcher(["*"]).fetch(f"http://{host}/", tmp_path / "fetched")
    assert isinstance(told.value, RefusedPicture) or "has no address" in str(told.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate of photos.example, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "photos.example")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("photos.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "certificate", folder / "key"


@pytest.fixture
def secure_server(certificate: tuple[Path, Path]) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = Server(context)
    yield server
    server.close()


def test_https_is_believed_where_certificate_and_name_are_right_alone(
    secure_server: Server, server: Server, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    trusting = ssl.create_default_context(cafile=certificate[0])

    def fetch(host: str, name: str, tls: ssl.SSLContext | None = trusting) -> bytes:
        fetcher = Fetcher(
            ["*"],
            resolve=lambda host, seconds: ["127.0.0.1"],
            permitted=only_loopback,
            ports=[secure_server.port, server.port],
            tls=tls,
        )
        fetcher.fetch(f"https://{host}:{secure_server.port}/{name}", tmp_path / name)
        return (tmp_path / name).read_bytes()

    secure_server.answers = {
        "/a": sends(b"here"),
        "/down": redirects(f"http://photos.example:{server.port}/a"),
    }
    server.answers["/a"] = sends(b"plain")
    assert fetch("photos.example", "a") == b"here"
    with pytest.raises(NotFetched, match="could not be read"):
        fetch("other.example", "a")
    with pytest.raises(NotFetched, match="could not be read"):
        fetch("photos.example", "a", tls=None)
    with pytest.raises(RefusedPicture, match="from https to plain http"):
        fetch("photos.example", "down")
    assert server.asked == []
    assert [path for path, _ in secure_server.asked] == ["/a", "/down"]
