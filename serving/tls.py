"""How a client trusts a model server, and shows who it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from segtrail.errors import ServingError


@dataclass(frozen=True)
class Tls:
    """What a connection over TLS rests on, each a PEM text.

    Args:
        ca: Certificates of the authorities that vouch for the server; without it, those that
            gRPC brings along.
        key: The client's own key, where the server asks who it is (`client_verify`).
        certificate: The certificate of that key.
        name: The name in the server's certificate, where it is not that of the target.
    """

    ca: bytes | None = None
    key: bytes | None = None
    certificate: bytes | None = None
    name: str | None = None

    @classmethod
    def of_files(
        cls,
        ca: Path | None = None,
        key: Path | None = None,
        certificate: Path | None = None,
        name: str | None = None,
    ) -> Tls:
        """Reads the PEM files.

        Raises:
            ServingError: One cannot be read or is not PEM, or a key comes without its
                certificate.
        """
        if (key is None) != (certificate is None):
            raise ServingError(
                "TLS: the client's key and its certificate come together; one is missing"
            )
        return cls(
            ca=_pem(ca), key=_pem(key), certificate=_pem(certificate), name=name
        )  # fmt: skip

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns gRPC's credentials."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)

    def options(self) -> list[tuple[str, Any]]:
        """Returns what the channel must know besides."""
        return [("grpc.ssl_target_name_override", self.name)] if self.name else []


def _pem(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        found = path.read_bytes()
    except OSError as e:
        raise ServingError(f"{path}: cannot be read: {e.strerror}") from None
    if b"-----BEGIN " not in found:
        raise ServingError(f"{path}: expected a PEM file (-----BEGIN ...-----)")
    return found
