"""What is told where TLS keeps client and server apart; see also test_embedded_guards."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from certificates import Authority

from segtrail.errors import ServingError
from serving import protocol, tls_probe
from serving.async_client import AsyncSegmentationClient
from serving.client import SegmentationClient
from serving.failures import TlsError
from serving.tls import Tls

NAME = "models.example"


@contextlib.contextmanager
def server(credentials: grpc.ServerCredentials | None, wait: float = 0.0) -> Iterator[str]:
    """A gRPC server that says UNAVAILABLE by itself, after a while."""

    def refuse(request: bytes, context: grpc.ServicerContext) -> None:
        time.sleep(wait)
        context.abort(grpc.StatusCode.UNAVAILABLE, "the queue is full")

    service, _, method = protocol.GET_MODEL_STATUS.strip("/").partition("/")
    handler = {method: grpc.unary_unary_rpc_method_handler(refuse)}
    running = grpc.server(ThreadPoolExecutor(4))
    running.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handler),))
    where = "127.0.0.1:0"
    port = (
        running.add_secure_port(where, credentials)
        if credentials
        else running.add_insecure_port(where)
    )
    running.start()
    yield f"127.0.0.1:{port}"
    running.stop(0)


def credentials(authority: Authority, hours: float = 1, verify: bool = False):
    own = authority.sign(NAME, hours)
    ca = authority.pem if verify else None
    return grpc.ssl_server_credentials([(own.key, own.certificate)], ca, verify)


def asked(target: str, tls: Tls | None, timeout: float = 5.0) -> ServingError:
    with (
        SegmentationClient(target, timeout=timeout, tls=tls) as client,
        pytest.raises(ServingError) as e,
    ):
        client.statuses("tiny")
    return e.value


def test_a_server_in_clear_is_told_from_one_with_a_bad_certificate() -> None:
    tls = Tls(Authority().pem, name=NAME)
    with server(None) as target:
        found = asked(target, tls)
    assert isinstance(found, TlsError)
    assert found.message == f"{target}: this client speaks TLS; the server does not"
    assert "--ssl_config_file" in (found.hint or "")


def test_a_certificate_that_is_over_is_told_with_its_day() -> None:
    authority = Authority()
    with server(credentials(authority, hours=-0.5)) as target:
        found = asked(target, Tls(authority.pem, name=NAME))
    assert "the server's certificate expired on " in found.message
    assert "GMT" in found.message
    assert "renew it" in (found.hint or "")


def test_the_asynchronous_client_tells_it_too() -> None:
    async def ask(target: str) -> None:
        async with AsyncSegmentationClient(target, timeout=5) as client:
            await client.statuses("tiny")

    with (
        server(credentials(Authority())) as target,
        pytest.raises(TlsError, match="the server speaks TLS; this client does not"),
    ):
        asyncio.run(ask(target))


@pytest.mark.parametrize("verify", [False, True])
def test_what_a_server_itself_refuses_is_not_laid_on_tls(verify: bool) -> None:
    authority = Authority()
    own = authority.sign("app")
    tls = Tls(authority.pem, own.key, own.certificate, NAME)
    with server(credentials(authority, verify=verify), wait=0.5) as target:
        assert "the queue is full" in asked(target, tls).message
        assert "no answer within 0.3 s" in asked(target, tls, timeout=0.3).message
    with server(None) as target:
        assert "the queue is full" in asked(target, None).message


def test_where_nothing_listens_nothing_is_said_of_tls_and_at_once() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{s.getsockname()[1]}"
    for tls in (None, Tls(Authority().pem)):
        assert tls_probe.why(target, tls) is None
    assert tls_probe.why("unix:/run/models.sock", None) is None


def test_what_listens_and_never_speaks_is_not_laid_on_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        held: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(silent.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        for tls in (None, Tls(Authority().pem)):
            assert tls_probe.why(target, tls) is None
        for each in held:
            each.close()


@pytest.mark.parametrize(
    ("field", "content", "says"),
    [
        ("ca", b"0", "expected a PEM file"),
        ("ca", b"-----BEGIN EC PRIVATE KEY-----", "expected a CERTIFICATE in it; found EC PRIVATE"),
        ("key", b"-----BEGIN CERTIFICATE-----", "expected a PRIVATE KEY in it; found CERTIFICATE"),
        ("key", b"-----BEGIN ENCRYPTED PRIVATE KEY-----", "has a passphrase"),
        ("certificate", None, "cannot be read: No such file"),
    ],
)
def test_files_that_are_not_what_they_should_be(tmp_path, field, content, says) -> None:
    own = Authority().sign("app")
    files = {"key": own.key, "certificate": own.certificate, field: content}
    for name, text in files.items():
        if text is not None:
            (tmp_path / name).write_bytes(text)
    with pytest.raises(ServingError, match=says) as e:
        Tls.of_files(**{name: tmp_path / name for name in files})
    assert e.value.message.startswith(str(tmp_path / field))
