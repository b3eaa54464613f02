"""How both clients reach a server: options, retries, TLS."""

from __future__ import annotations

import json
from typing import Any

from segtrail.addresses import check_target
from segtrail.errors import ServingError
from serving.tls import Tls

_RETRY = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {  # every call is a question: asking it again does no harm
                "maxAttempts": 3,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.service_config", json.dumps(_RETRY)),
]


def open_channel(grpc: Any, target: str, tls: Tls | None) -> Any:
    """Returns a channel.

    Args:
        grpc: The module `grpc`, or `grpc.aio`.
        target: `host:port`, or any gRPC target.
        tls: How to trust the server; None: in clear.

    Raises:
        ServingError: `target` is no address.
    """
    try:
        check_target(target)
    except ValueError as e:
        raise ServingError(f"a model server's address: {e}") from None
    if tls is None:
        return grpc.insecure_channel(target, options=_OPTIONS)
    return grpc.secure_channel(target, tls.credentials(), options=[*_OPTIONS, *tls.options()])


def serialize(message: Any) -> bytes:
    """Returns a message's bytes."""
    return bytes(message.SerializeToString())
