"""Shakes hands over TLS as gRPC does, but so that one learns how it ended."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc

from serving.tls import Tls

WITHIN_S = 2.0
ROOTS_VARIABLE = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"  # of gRPC: instead of those it brings along
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"  # with which HTTP/2 begins
_FRAME_BYTES, _SETTINGS = 9, 4  # RFC 9113: a frame's head; the type of a server's first frame

Address = tuple[str, int]


class PairError(OSError):
    """The client's key and its certificate do not belong together, or are damaged."""


class HungUpError(ConnectionError):
    """The server closed the connection, and did not say why."""


def context(tls: Tls) -> ssl.SSLContext:
    """Returns what trusts a server, and shows the client's certificate, as gRPC does.

    Raises:
        PairError: See there.
        OSError: The authorities cannot be read.
    """
    made = _plain_context()
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as gRPC does
    if tls.ca is not None:
        made.load_verify_locations(cadata=tls.ca.decode("ascii", "replace"))
    else:
        bundled = Path(grpc.__file__).parent / "_cython" / "_credentials" / "roots.pem"
        made.load_verify_locations(os.environ.get(ROOTS_VARIABLE) or bundled)
    if tls.key is not None and tls.certificate is not None:
        _show(made, tls.certificate, tls.key)
    return made


def trusting_context() -> ssl.SSLContext:
    """Returns what trusts whoever answers, to find out whether TLS is spoken at all."""
    made = _plain_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def shake_hands(
    where: Address, context: ssl.SSLContext, name: str
) -> tuple[bool, Mapping[str, Any]]:
    """Returns whether the server then hangs up, and its verified certificate.

    With TLS 1.3 a server refuses a client's certificate only after the hands are shaken, and
    gRPC's does so without a word. It is not spoken to: gRPC's greets first.

    Raises:
        ssl.SSLCertVerificationError: The server is not trusted.
        HungUpError: The server closed the connection before the hands were shaken.
        ssl.SSLError: They were not shaken, or the server says later why it hangs up.
        OSError: Nothing listens, or nothing answers in time.
    """
    with socket.create_connection(where, WITHIN_S) as plain, _shake(plain, context, name) as secure:
        certificate = secure.getpeercert() or {}
        try:
            return not secure.recv(1), certificate
        except TimeoutError:
            return False, certificate
        except (ssl.SSLEOFError, ConnectionError):
            return True, certificate


def _shake(plain: socket.socket, context: ssl.SSLContext, name: str) -> ssl.SSLSocket:
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except (ssl.SSLEOFError, ConnectionError) as e:
        raise HungUpError(str(e)) from None


def speaks_clear(where: Address) -> bool:
    """Whether the server greets in clear as HTTP/2 does, on which gRPC rests."""
    head = b""
    try:
        with socket.create_connection(where, WITHIN_S) as plain:
            plain.sendall(_HELLO)
            while len(head) < _FRAME_BYTES and (more := plain.recv(_FRAME_BYTES - len(head))):
                head += more
    except OSError:
        return False
    return len(head) == _FRAME_BYTES and head[3] == _SETTINGS and not any(head[4:])


def _plain_context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.set_alpn_protocols(["h2"])
    return made


def _show(made: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Python reads both from files alone: pipes are some, and leave no key on a disk."""
    ends: list[int] = []
    try:
        for text in (certificate, key):
            end, into = os.pipe()
            ends.append(end)
            with open(into, "wb", buffering=0) as pipe:
                os.set_blocking(into, False)
                if pipe.write(text) != len(text):
                    raise OSError("more than a pipe holds")
        try:  # with a password, lest it is asked for
            made.load_cert_chain(f"/dev/fd/{ends[0]}", f"/dev/fd/{ends[1]}", password=b"")
        except OSError as e:
            raise PairError(str(e)) from None
    finally:
        for end in ends:
            os.close(end)
