"""How a client trusts a model server, and shows who it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from segtrail.errors import ServingError

_BEGIN = re.compile(rb"-----BEGIN ([^-\r\n]+)-----")


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
        ca: str | Path | None = None,
        key: str | Path | None = None,
        certificate: str | Path | None = None,
        name: str | None = None,
    ) -> Tls:
        """Reads the PEM files.

        Raises:
            ServingError: One cannot be read, is not PEM or holds something else, a key has a
                passphrase, or comes without its certificate.
        """
        if (key is None) != (certificate is None):
            raise ServingError(
                "TLS: the client's key and its certificate come together; one is missing"
            )
        return cls(
            ca=_pem(ca, "CERTIFICATE"),
            key=_pem(key, "PRIVATE KEY"),
            certificate=_pem(certificate, "CERTIFICATE"),
            name=name,
        )

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns gRPC's credentials."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)

    def options(self) -> list[tuple[str, Any]]:
        """Returns what the channel must know besides."""
        return [("grpc.ssl_target_name_override", self.name)] if self.name else []


def _pem(path: str | Path | None, label: str) -> bytes | None:
    if path is None:
        return None
    try:
        found = Path(path).read_bytes()
    except OSError as e:
        raise ServingError(f"{path}: cannot be read: {e.strerror}") from None
    labels = [match.decode("ascii", "replace") for match in _BEGIN.findall(found)]
    if not labels:
        raise ServingError(f"{path}: expected a PEM file (-----BEGIN ...-----)")
    if not any(has.endswith(label) for has in labels):
        raise ServingError(f"{path}: expected a {label} in it; found {', '.join(labels)}")
    if "ENCRYPTED PRIVATE KEY" in labels or b"Proc-Type: 4,ENCRYPTED" in found:
        raise ServingError(
            f"{path}: the key has a passphrase, for which gRPC does not ask",
            f"openssl pkey -in {path} -out FILE   (keep that file from others: chmod 600)",
        )
    return found
