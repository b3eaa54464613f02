"""What is told where TLS keeps client and server apart; see also test_embedded_guards."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from certificates import Authority

from segtrail.errors import ServingError
from serving import protocol, tls_probe
from serving.async_client import AsyncSegmentationClient
from serving.client import SegmentationClient
from serving.failures import TlsError
from serving.tls import Tls
from serving.tls_handshake import ROOTS_VARIABLE

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


@contextlib.contextmanager
def listener(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """What accepts, does as it is told with each connection, and closes it."""

    def serve(accepted: socket.socket) -> None:
        with accepted, contextlib.suppress(OSError):
            answer(accepted)

    def accept(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=listening.accept()[:1], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=accept, args=(listening,), daemon=True)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def openssl(
    authority: Authority, folder: Path, answer: Callable[[ssl.SSLSocket], object]
) -> Callable[[socket.socket], None]:
    """What demands a certificate, and other than gRPC's server says why it refuses one."""
    own = authority.sign(NAME)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name, text in (("key", own.key), ("certificate", own.certificate)):
        (folder / name).write_bytes(text)
    context.load_cert_chain(folder / "certificate", folder / "key")
    context.load_verify_locations(cadata=authority.pem.decode())
    context.set_alpn_protocols(["h2"])
    context.verify_mode = ssl.CERT_REQUIRED

    def shake(accepted: socket.socket) -> None:
        with context.wrap_socket(accepted, server_side=True) as secure:
            answer(secure)

    return shake


def test_a_server_in_clear_is_told_from_one_with_a_bad_certificate() -> None:
    tls = Tls(Authority().pem, name=NAME)
    with server(None) as target:
        found = asked(target, tls)
    assert isinstance(found, TlsError)
    assert found.message == f"{target}: this client speaks TLS; the server does not"
    assert (found.hint or "").startswith("start it with --ssl_config_file; or,")


def read_and_close(accepted: socket.socket) -> None:
    accepted.recv(4096)


def reset(accepted: socket.socket) -> None:
    accepted.recv(4096)
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("hangs_up", [lambda _: None, read_and_close, reset])
def test_who_hangs_up_is_not_said_to_speak_in_clear(hangs_up) -> None:
    with listener(hangs_up) as target:
        found = asked(target, Tls(Authority().pem, name=NAME))
        assert not isinstance(found, TlsError)
        assert "closed the connection before TLS was agreed" in found.message
        assert "is the server up" in (found.hint or "")
        assert "leave out" not in (found.hint or "")
        assert tls_probe.why(target, None) is None


def test_what_answers_in_clear_and_is_not_grpc_is_no_reason_to_leave_tls_out() -> None:
    def refuse(accepted: socket.socket) -> None:
        accepted.recv(4096)
        accepted.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with listener(refuse) as target:
        assert tls_probe.why(target, Tls(Authority().pem, name=NAME)) is None


def test_what_a_server_says_of_the_clients_certificate_is_told(tmp_path) -> None:
    authority, stranger = Authority(), Authority().sign("app")
    with listener(openssl(authority, tmp_path, lambda secure: secure.recv(1))) as target:
        none = asked(target, Tls(authority.pem, name=NAME))
        theirs = asked(target, Tls(authority.pem, stranger.key, stranger.certificate, NAME))
    asks = f"{target}: the server asks for a client's certificate; "
    assert none.message == f"{asks}this client shows none (certificate required)"
    # both authorities have one name, so that it is the signature that fails
    assert theirs.message == f"{asks}it refuses the one shown (decrypt error)"
    assert "--tls-certificate" in (none.hint or "")


def test_a_client_that_the_server_knows_is_not_said_to_be_unknown(tmp_path) -> None:
    """The hands are shaken; what gRPC waits for then, a greeting, does not come."""

    def listen_alone(secure: ssl.SSLSocket) -> None:
        while secure.recv(4096):
            pass

    authority = Authority()
    own = authority.sign("app")
    with listener(openssl(authority, tmp_path, listen_alone)) as target:
        assert tls_probe.why(target, Tls(authority.pem, own.key, own.certificate, NAME)) is None


def test_a_key_that_is_not_that_of_the_certificate_is_told() -> None:
    authority = Authority()
    tls = Tls(authority.pem, authority.sign("app").key, authority.sign("app").certificate, NAME)
    with server(credentials(authority, verify=True)) as target:
        assert "key and certificate do not fit together" in asked(target, tls).message


@pytest.mark.parametrize("own", [False, True])
def test_authorities_of_the_system_are_not_those_that_grpc_brings_along(
    tmp_path, monkeypatch, own
) -> None:
    authority = Authority()
    (tmp_path / "system.pem").write_bytes(authority.pem)
    (tmp_path / "own.pem").write_bytes(Authority().pem)
    monkeypatch.delenv(ROOTS_VARIABLE, raising=False)
    if own:
        monkeypatch.setenv(ROOTS_VARIABLE, str(tmp_path / "own.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))  # OpenSSL's, not gRPC's
    with server(credentials(authority)) as target:
        found = asked(target, Tls(name=NAME))
    whose = f"in {tmp_path / 'own.pem'}" if own else "that gRPC brings along"
    assert f"not signed by any authority {whose} (" in found.message
    assert "--tls-ca" in (found.hint or "")


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
