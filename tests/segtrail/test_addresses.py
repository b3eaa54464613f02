"""What is an address of a model server, and what is told of one that is none."""

from __future__ import annotations

import pytest

from segtrail.addresses import check_host_and_port, check_target


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:8500", "localhost:8500", "models.example.:443", "[::1]:8500",
        "[fe80::1%eth0]:8500", "dns:///segtrail-serving.segtrail.svc.cluster.local:8500",
        "dns:models.example:8500",
        "dns://8.8.8.8/models.example:8500", "ipv4:127.0.0.1:8500,127.0.0.2:8500",
        "ipv6:[::1]:8500", "unix:/run/models.sock", "unix:///run/models.sock",
        "unix-abstract:models", "vsock:2:8500", "xds:///models",
    ],
)  # fmt: skip
def test_what_grpc_takes_with_a_port_is_a_target(target):
    check_target(target)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("127.0.0.1", "got '127.0.0.1'; expected host:port, such as 127.0.0.1:8500"),
        ("nowhere", "got 'nowhere'; expected host:port"),
        ("", "got ''; expected host:port"),
        ("http://host:8500", "expected host:port, such as 127.0.0.1:8500, without http://"),
        ("host:8500/", "expected host:port"),
        ("host:grpc", "expected host:port"),
        ("my host:8500", "expected host:port"),
        ("::1:8500", "such as 127.0.0.1:8500 or [::1]:8500"),
        ("[::1]", "expected host:port"),
        ("dns:///host", "got 'host'; expected host:port"),
        ("dns:8500", "expected host:port"),
        ("ipv4:127.0.0.1:8500,127.0.0.2", "got '127.0.0.2'; expected host:port"),
        ("unix:", "expected host:port"),
        ("host:0", "the port should be between 1 and 65535"),
        ("host:65536", "the port should be between 1 and 65535"),
    ],
)
def test_what_is_no_target_is_told(target, says):
    with pytest.raises(ValueError, match=r"expected host:port|the port should be") as e:
        check_target(target)
    assert says in str(e.value)


def test_a_scheme_is_no_part_of_host_and_port():
    for target in ("dns:///host:8500", "unix:/run/models.sock"):
        with pytest.raises(ValueError, match=r"expected host:port"):
            check_host_and_port(target)
