"""Addresses to listen on: `:9090` is for this machine only, `0.0.0.0:9090` for all.

>>> parse_address(":9090"), parse_address("[::]:9090")
(('127.0.0.1', 9090), ('::', 9090))
>>> is_local("localhost:9090"), is_local("0.0.0.0")
(True, False)
"""

from __future__ import annotations

import re
from ipaddress import ip_address

from ktrans.api import UsageError

LOCAL = "127.0.0.1"
HIGHEST_PORT = 0xFFFF


def parse_address(text: str) -> tuple[str, int]:
    """Parse an address: `:9090` is for this machine only, `0.0.0.0:9090` for all.

    Raises:
        UsageError: it is not a valid address.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > HIGHEST_PORT:
        raise UsageError(
            f"{text!r} is not a valid address",
            hint="use :9090 for this machine only, or 0.0.0.0:9090 for others to reach",
        )
    return host.strip("[]") or LOCAL, int(port)


def is_local(host: str) -> bool:
    """Return whether a host, with or without a port, can only be this machine.

    A web page whose host name was made to resolve to this machine (DNS rebinding) sends that name,
    and so gets nothing from a server that is for this machine only.
    """
    name = re.sub(r":[0-9]*$", "", host) if host.count(":") == 1 or "]" in host else host
    name = name.strip("[]").lower().removesuffix(".")
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
