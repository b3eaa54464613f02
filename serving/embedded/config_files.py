"""TF Serving's configuration files beside its models: text protos."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import grpc
from google.protobuf import text_format
from google.protobuf.message import Message

from serving.protocol import SSLConfig

M = TypeVar("M", bound=Message)


def read(path: Path, message: M) -> M:
    """Reads a text proto into a message and returns it.

    Raises:
        ValueError: The file is not one, or cannot be read.
    """
    name = f"tensorflow.serving.{message.DESCRIPTOR.name}"
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), message)
    except (OSError, UnicodeDecodeError) as e:
        raise ValueError(f"{path}: cannot be read: {e}") from None
    except text_format.ParseError as e:
        raise ValueError(f"{path}: Error parsing text-format {name}: {e}") from None


def credentials(path: Path) -> grpc.ServerCredentials:
    """Returns what an SSLConfig file says: the server's key and whom it lets in.

    Raises:
        ValueError: The file is not one, or lacks a key, a certificate or the authority by which
            clients are verified.
    """
    given = read(path, SSLConfig())
    for name in ("server_key", "server_cert"):
        if "-----BEGIN" not in getattr(given, name):
            raise ValueError(f"{path}: {name}: expected the text of a PEM file, not its path")
    if given.client_verify and not given.custom_ca:
        raise ValueError(f"{path}: client_verify: expected custom_ca, whose clients are let in")
    return grpc.ssl_server_credentials(
        [(given.server_key.encode(), given.server_cert.encode())],
        root_certificates=given.custom_ca.encode() or None,
        require_client_auth=given.client_verify,
    )
