"""Where a web server listens, and where browsers find it."""

import errno
import socket

import click

LOOPBACK = "127.0.0.1"
WILDCARDS = ("0.0.0.0", "::")
PORT = 8765


def _refuse_ipv6(context: click.Context, option: click.Parameter, host: str) -> str:
    """Werkzeug takes `::1` in the list of trusted hosts for a name with a port, and would trust nobody."""
    if ":" in host and host not in WILDCARDS:
        raise click.BadParameter(
            f"{host!r} is an IPv6 address, which pages cannot be asked for by; give :: and open them by a "
            "name that RECAPTION_TRUSTED_HOSTS has"
        )
    return host


host_option = click.option(
    "--host",
    default=LOOPBACK,
    show_default=True,
    callback=_refuse_ipv6,
    help="The address to listen on.",
)
port_option = click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True)


def is_taken(host: str, port: int) -> bool:
    """Whether somebody listens there already. Raises OSError for an address that cannot be had at all."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise
    return False


def address(host: str, port: int) -> str:
    """Where a browser on this machine finds the dashboard."""
    return f"http://{LOOPBACK if host in WILDCARDS else host}:{port}"
