"""Finds out why a connection fails where TLS is the cause: gRPC's own words seldom say it."""

from __future__ import annotations

import os
import re
import socket
import ssl
import time
from collections.abc import Mapping
from queue import Empty, Queue
from typing import Any

import grpc

from segtrail.errors import ServingError
from serving import tls_handshake
from serving.channel import open_channel
from serving.failures import TlsError
from serving.tls import Tls
from serving.tls_handshake import WITHIN_S, Address

_ADDRESS = re.compile(r"(?:dns:/{0,3})?(?:\[(?P<six>[^]]+)\]|(?P<host>[^:/]+)):(?P<port>\d+)")
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which Python has no name for
_NOT_YET, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64  # OpenSSL's X509_V_ERR_...
_ALERT = re.compile(r"(?:SSLV3|TLSV1|TLSV13)_(?:ALERT_)?(?P<says>\w+)")  # OpenSSL's SSL_R_...
_OF_THE_ONE_SHOWN = ("unknown ca", "decrypt error", "access denied")  # of RFC 8446, 6.2

_IN_PARAMS = "of the recipe in params.yaml"
_CA = f"--tls-ca FILE, the authority that signed its certificate; or serving.tls.ca {_IN_PARAMS}"
_CLIENT = (
    "--tls-certificate FILE --tls-key FILE, signed by an authority that it knows; or "
    f"serving.tls.certificate and .key {_IN_PARAMS}"
)
_CLEAR = (
    "start it with --ssl_config_file; or, if it is meant to speak in clear, leave out --tls-..., "
    "or serving.tls of the recipe"
)


def why(target: str, tls: Tls | None) -> ServingError | None:
    """Returns what keeps client and server from understanding each other; None: it is not TLS.

    Connects anew, for at most two seconds each time; asks nothing. A `TlsError` is what was seen;
    a server that hangs up before it says a word of TLS is a `ServingError` and no more, since one
    that is not up behind its load balancer does the same.

    Args:
        target: `host:port`; of other gRPC targets nothing is found out.
        tls: How the client trusts the server; None: in clear.
    """
    if (address := _ADDRESS.fullmatch(target)) is None:
        return None
    where = (address["six"] or address["host"], int(address["port"]))
    try:
        socket.create_connection(where, WITHIN_S).close()
        if _connects(target, tls):
            return None
        return _in_clear(target, where) if tls is None else _over_tls(target, where, tls)
    except tls_handshake.PairError:
        return TlsError(target, "the client's key and certificate do not fit together", _CLIENT)
    except OSError:  # nothing listens, or nothing answers
        return None


def _connects(target: str, tls: Tls | None) -> bool:
    """Whether gRPC itself comes to terms with the server: then what failed was something else."""
    states: Queue[grpc.ChannelConnectivity] = Queue()
    over = (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE)
    end = time.monotonic() + WITHIN_S
    with open_channel(grpc, target, tls) as channel:
        channel.subscribe(states.put, try_to_connect=True)
        try:
            while (state := states.get(timeout=max(end - time.monotonic(), 0))) not in over:
                pass
        except Empty:
            return False
    return bool(state == grpc.ChannelConnectivity.READY)


def _in_clear(target: str, where: Address) -> TlsError | None:
    try:
        tls_handshake.shake_hands(where, tls_handshake.trusting_context(), where[0])
    except ssl.SSLError as e:
        if _alert(e) is None:  # an alert is TLS, too
            return None
    return TlsError(target, "the server speaks TLS; this client does not", _CA)


def _over_tls(target: str, where: Address, tls: Tls) -> ServingError | None:
    name = tls.name or where[0]
    context = tls_handshake.context(tls)
    try:
        closed, _ = tls_handshake.shake_hands(where, context, name)
    except ssl.SSLCertVerificationError as e:
        return _of_certificate(target, where, tls, name, e)
    except (ssl.SSLError, tls_handshake.HungUpError) as e:
        return _not_agreed(target, where, tls, e)
    if not closed:
        return None
    shown = "does not know the one shown" if tls.key else "is shown none, as by this client"
    return TlsError(
        target,
        "TLS was agreed, and then the server closed the connection, as one does that asks for a "
        f"client's certificate (client_verify) and {shown}",
        f"{_CLIENT}; or see the server's log",
    )


def _not_agreed(target: str, where: Address, tls: Tls, e: OSError) -> ServingError | None:
    """Returns why no hands were shaken, as far as it can be known."""
    if (says := _alert(e)) is not None:
        if not ("certificate" in says or (tls.key and says in _OF_THE_ONE_SHOWN)):
            found = f"the server refuses TLS as this client speaks it ({says})"
            return TlsError(target, found, "see the server's log")
        shown = "it refuses the one shown" if tls.key else "this client shows none"
        found = f"the server asks for a client's certificate; {shown} ({says})"
        return TlsError(target, found, _CLIENT)
    if tls_handshake.speaks_clear(where):
        return TlsError(target, "this client speaks TLS; the server does not", _CLEAR)
    if not isinstance(e, tls_handshake.HungUpError):
        return None
    return ServingError(
        f"{target}: the server closed the connection before TLS was agreed; it does not say why",
        "is the server up, also behind a load balancer? see its log; leave TLS on",
    )


def _alert(e: OSError) -> str | None:
    """Returns the words of an alert, by which a server that speaks TLS says what it refuses."""
    found = _ALERT.fullmatch(getattr(e, "reason", None) or "")
    return None if found is None else found["says"].lower().replace("_", " ")


def _of_certificate(
    target: str, where: Address, tls: Tls, name: str, e: ssl.SSLCertVerificationError
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
    given = "the authorities given"
    if tls.ca is None:
        own = os.environ.get(tls_handshake.ROOTS_VARIABLE)
        given = f"any authority in {own}" if own else "any authority that gRPC brings along"
    says = f"the server's certificate is not signed by {given} ({e.verify_message})"
    return TlsError(target, says, _CA)


def _certificate(where: Address, tls: Tls) -> Mapping[str, Any]:
    """Returns what the server's certificate says, whatever its name and time."""
    context = tls_handshake.context(tls)
    context.check_hostname = False
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    try:
        return tls_handshake.shake_hands(where, context, where[0])[1]
    except OSError:
        return {}
