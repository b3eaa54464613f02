"""Signatures of ledger entries, over the line as it would be without one.

Where `SEGTRAIL_KEY` names a key that git trusts, whatever is written in a ledger is signed:
promotion, rejection, force, canary, rollback. A key that is not trusted signs nothing and says so:
a rollback in an emergency must not wait for a commit.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

from lineage import keys
from lineage.keys import Trusted
from segtrail.errors import LineageError
from segtrail.progress import say
from segtrail.secrets import KEY

PAYLOAD_TYPE = "application/vnd.segtrail.ledger-entry+json"


def sign(content: bytes, root: Path) -> dict[str, str] | None:
    """Returns the signature of an entry: `{"key": key id, "sig": base64}`; None without a key.

    Args:
        content: The line, without a signature and a newline.
        root: The workspace, whose commit says whom to trust.

    Raises:
        ConfigError: `SEGTRAIL_KEY` names what is no key, or its passphrase is wrong.
    """
    from securesystemslib.dsse import Envelope

    signer = keys.signer_of_environment()
    if signer is None:
        return None
    key_id = signer.public_key.keyid
    if key_id not in keys.trusted(root, strict=False):
        say(f"{KEY} names the key {key_id[:12]}, which no commit trusts: the entry is not signed")
        return None
    signature = Envelope(content, PAYLOAD_TYPE, {}).sign(signer)
    sig = base64.b64encode(bytes.fromhex(signature.signature)).decode()
    return {"key": key_id, "sig": sig}


def verify(content: bytes, given: Mapping[str, str], known: Mapping[str, Trusted]) -> Trusted:
    """Returns who signed an entry.

    Args:
        content: See `sign`.
        given: What `sign` returned.
        known: The keys that git trusts or has trusted, by key id.

    Raises:
        LineageError: Nobody known did, or the signature does not hold.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import UnverifiedSignatureError
    from securesystemslib.signer import Signature

    key_id = str(given.get("key"))
    if key_id not in known:
        raise LineageError(f"signed by {key_id[:12]}, whom git never trusted")
    try:
        raw = base64.b64decode(str(given.get("sig")), validate=True)
        signature = Signature(key_id, raw.hex())
        known[key_id].key.verify_signature(signature, Envelope(content, PAYLOAD_TYPE, {}).pae())
    except (binascii.Error, UnverifiedSignatureError):
        raise LineageError(f"its signature is not that of {known[key_id].name}") from None
    return known[key_id]
