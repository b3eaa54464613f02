"""Finds out why a connection fails where TLS is the cause: gRPC's own words seldom say it."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Mapping
from queue import Empty, Queue
from typing import Any

import grpc

from serving.channel import open_channel
from serving.failures import TlsError
from serving.tls import Tls

_WITHIN_S = 2.0
_ADDRESS = re.compile(r"(?:dns:/{0,3})?(?:\[(?P<six>[^]]+)\]|(?P<host>[^:/]+)):(?P<port>\d+)")
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"  # with which HTTP/2 begins
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which Python has no name for
_NOT_YET, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64  # OpenSSL's X509_V_ERR_...

_IN_PARAMS = "of the recipe in params.yaml"
_CA = f"--tls-ca FILE, the authority that signed its certificate; or serving.tls.ca {_IN_PARAMS}"
_CLIENT = (
    "--tls-certificate FILE --tls-key FILE, signed by an authority that it knows; or "
    f"serving.tls.certificate and .key {_IN_PARAMS}"
)
_CLEAR = "leave out --tls-..., or serving.tls of the recipe; or start it with --ssl_config_file"


def why(target: str, tls: Tls | None) -> TlsError | None:
    """Returns what keeps client and server from understanding each other; None: it is not TLS.

    Connects anew, for at most two seconds each time; asks nothing.

    Args:
        target: `host:port`; of other gRPC targets nothing is found out.
        tls: How the client trusts the server; None: in clear.
    """
    if (address := _ADDRESS.fullmatch(target)) is None:
        return None
    where = (address["six"] or address["host"], int(address["port"]))
    try:
        socket.create_connection(where, _WITHIN_S).close()
        if _connects(target, tls):
            return None
        return _in_clear(target, where) if tls is None else _over_tls(target, where, tls)
    except OSError:  # nothing listens, or nothing answers
        return None


def _connects(target: str, tls: Tls | None) -> bool:
    """Whether gRPC itself comes to terms with the server: then what failed was something else."""
    states: Queue[grpc.ChannelConnectivity] = Queue()
    over = (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE)
    end = time.monotonic() + _WITHIN_S
    with open_channel(grpc, target, tls) as channel:
        channel.subscribe(states.put, try_to_connect=True)
        try:
            while (state := states.get(timeout=max(end - time.monotonic(), 0))) not in over:
                pass
        except Empty:
            return False
    return bool(state == grpc.ChannelConnectivity.READY)


def _in_clear(target: str, where: tuple[str, int]) -> TlsError | None:
    context = _context(None)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _shake_hands(where, context, where[0])
    except ssl.SSLError as e:
        if "ALERT" not in (e.reason or ""):  # an alert is TLS, too
            return None
    return TlsError(target, "the server speaks TLS; this client does not", _CA)


def _over_tls(target: str, where: tuple[str, int], tls: Tls) -> TlsError | None:
    name = tls.name or where[0]
    try:
        refused, _ = _shake_hands(where, _context(tls), name)
    except ssl.SSLCertVerificationError as e:
        return _of_certificate(target, where, tls, name, e)
    except ssl.SSLError as e:
        if "ALERT" not in (e.reason or ""):
            return TlsError(target, "this client speaks TLS; the server does not", _CLEAR)
        refused = True
    if not refused:
        return None
    shown = "it does not know the one shown" if tls.key else "this client shows none"
    found = f"the server asks for a client's certificate (client_verify); {shown}"
    return TlsError(target, found, _CLIENT)


def _of_certificate(
    target: str, where: tuple[str, int], tls: Tls, name: str, e: ssl.SSLCertVerificationError
) -> TlsError:
    """Returns what is wrong with the server's certificate."""
    if e.verify_code in (_EXPIRED, _NOT_YET):
        found = _certificate(where, tls)
        when = f"expired on {found.get('notAfter', 'an earlier day')}"
        if e.verify_code == _NOT_YET:
            when = f"is not valid before {found.get('notBefore', 'a later day')}"
        return TlsError(
            target, f"the server's certificate {when}",
            "renew it in the server's --ssl_config_file, and set both clocks",
        )  # fmt: skip
    if e.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
        names = [value for _, value in _certificate(where, tls).get("subjectAltName", ())]
        return TlsError(
            target,
            f"the server's certificate is for {', '.join(names) or 'no name'}, not for {name}",
            f"--tls-name {names[0] if names else 'NAME'}, if that is the server meant; or "
            f"serving.tls.name {_IN_PARAMS}",
        )
    given = "the authorities given" if tls.ca else "any authority that gRPC brings along"
    says = f"the server's certificate is not signed by {given} ({e.verify_message})"
    return TlsError(target, says, _CA)


def _certificate(where: tuple[str, int], tls: Tls) -> Mapping[str, Any]:
    """Returns what the server's certificate says, whatever its name and time."""
    context = _context(tls)
    context.check_hostname = False
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    try:
        return _shake_hands(where, context, where[0])[1]
    except OSError:
        return {}


def _context(tls: Tls | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as gRPC does
    if tls is not None and tls.ca is not None:
        context.load_verify_locations(cadata=tls.ca.decode("ascii", "replace"))
    else:
        context.load_default_certs()
    return context


def _shake_hands(
    where: tuple[str, int], context: ssl.SSLContext, name: str
) -> tuple[bool, Mapping[str, Any]]:
    """Returns whether the server then hangs up, and its verified certificate.

    With TLS 1.3 a server refuses a client's certificate only after the hands are shaken.
    """
    with (
        socket.create_connection(where, _WITHIN_S) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        certificate = secure.getpeercert() or {}
        try:
            secure.sendall(_HELLO)
            return not secure.recv(16), certificate
        except TimeoutError:
            return False, certificate
        except OSError:
            return True, certificate
