"""Addresses of model servers: what gRPC would take for something else is told up front."""

from __future__ import annotations

import re

# Of these gRPC knows no port; all others are a host and its port, behind a scheme or not.
_NO_PORT = re.compile(r"(?:unix|unix-abstract|vsock|xds):\S", re.I)
_RESOLVED = re.compile(r"dns:(?://[^/]*)?/?|ipv[46]:/{0,3}", re.I)
_HOST_AND_PORT = re.compile(r"(?:\[[^\s\[\]/]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")


def check_host_and_port(address: str) -> None:
    """Refuses what is not `host:port`.

    Args:
        address: Such as `127.0.0.1:8500`, `models.example:8500` or `[::1]:8500`.

    Raises:
        ValueError: Says what was expected.
    """
    found = _HOST_AND_PORT.fullmatch(address)
    if found is None:
        says = f"got {address!r}; expected host:port, such as 127.0.0.1:8500"
        scheme, slashes, _ = address.partition("://")
        if slashes:
            says += f", without {scheme}://"
        elif address.count(":") > 1 and not address.startswith("["):
            says += " or [::1]:8500"
        raise ValueError(says)
    if not 1 <= int(found["port"]) <= 65_535:
        raise ValueError(f"got {address!r}; the port should be between 1 and 65535")


def check_target(target: str) -> None:
    """Refuses what is no gRPC target with a port, of which gRPC asks port 443.

    Args:
        target: `host:port`, or what gRPC takes besides: `dns:///host:port`, `ipv4:...`,
            `ipv6:[...]:port`, `unix:/path`, `unix-abstract:name`, `vsock:...`, `xds:...`.

    Raises:
        ValueError: Says what was expected.
    """
    if not _NO_PORT.match(target):
        for address in _RESOLVED.sub("", target, count=1).split(","):
            check_host_and_port(address)
