"""Signed envelopes: DSSE, Dead Simple Signing Envelope, around bytes that lie beside them.

Specification: https://github.com/secure-systems-lab/dsse. An envelope holds the signed bytes, so
that any DSSE verifier, such as cosign, reads it alone; here they must also be those of the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lineage.keys import Trusted
from segtrail.errors import LineageError

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

IN_TOTO = "application/vnd.in-toto+json"
_MOST = 8  # signatures


def sign(content: bytes, payload_type: str, signer: Signer) -> bytes:
    """Returns the envelope of what is signed, as JSON.

    The same bytes and the same Ed25519 key give the same envelope.
    """
    from securesystemslib.dsse import Envelope

    envelope = Envelope(content, payload_type, {})
    envelope.sign(signer)
    return (json.dumps(envelope.to_dict(), indent=2, sort_keys=True) + "\n").encode()


def verify(
    envelope: bytes, content: bytes, payload_type: str, trusted: Mapping[str, Trusted]
) -> Trusted:
    """Returns whose signature holds.

    Args:
        envelope: What `sign` returned.
        content: What it must be the envelope of.
        payload_type: What it must say that this is.
        trusted: The keys that may have signed, by key id.

    Raises:
        LineageError: Not an envelope, or of other content; or no key that is trusted signed it.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import FormatError, UnverifiedSignatureError

    try:
        found = Envelope.from_dict(json.loads(envelope))
    except (ValueError, KeyError, TypeError, AttributeError, FormatError) as e:
        raise LineageError(f"not a DSSE envelope: {e}") from None
    if not all(isinstance(key_id, str) for key_id in found.signatures):
        raise LineageError("not a DSSE envelope: a key id is not a text")
    if found.payload_type != payload_type:
        raise LineageError(f"signs a {found.payload_type!r}; expected {payload_type!r}")
    if found.payload != content:
        raise LineageError("signs other bytes than those of the file beside it")
    if len(found.signatures) > _MOST:
        raise LineageError(f"has {len(found.signatures)} signatures; expected at most {_MOST}")
    known = [trusted[each] for each in found.signatures if each in trusted]
    if not known:
        ids = ", ".join(each[:12] for each in found.signatures) or "nobody"
        raise LineageError(f"signed by {ids}, whom no key under trust/ in git names")
    for each in known:
        try:
            each.key.verify_signature(found.signatures[each.key.keyid], found.pae())
        except UnverifiedSignatureError:
            raise LineageError(f"the signature is not that of {each.name}") from None
    return known[0]
