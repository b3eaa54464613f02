"""An envelope holds for its bytes, its type and its signer, and for nothing else."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.signer import CryptoSigner

from lineage import envelope
from lineage.keys import Trusted
from segtrail.errors import LineageError

ADA, EVE = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
TRUSTED = {ADA.public_key.keyid: Trusted("ada", ADA.public_key)}
CONTENT = b'{"what": "a statement"}'
SIGNED = envelope.sign(CONTENT, envelope.IN_TOTO, ADA)


def verify(signed: bytes = SIGNED, content: bytes = CONTENT, kind: str = envelope.IN_TOTO) -> str:
    return envelope.verify(signed, content, kind, TRUSTED).name


def test_who_signed_is_known_and_the_same_gives_the_same_bytes():
    assert verify() == "ada"
    assert envelope.sign(CONTENT, envelope.IN_TOTO, ADA) == SIGNED


def test_it_is_what_the_specification_says():
    """Checked by hand: the pre-authentication encoding and Ed25519 of `cryptography` itself."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    found = json.loads(SIGNED)
    assert base64.b64decode(found["payload"]) == CONTENT
    kind = found["payloadType"].encode()
    encoded = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(CONTENT), CONTENT)
    (signature,) = found["signatures"]
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(ADA.public_key.keyval["public"]))
    public.verify(base64.b64decode(signature["sig"]), encoded)


@settings(deadline=None)
@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_no_byte_of_it_can_be_changed_to_another_meaning(at: int, by: int):
    changed = bytearray(SIGNED)
    changed[at] ^= by
    try:
        same = json.loads(changed) == json.loads(SIGNED)
    except ValueError:
        same = False
    if same:  # white space
        assert verify(bytes(changed)) == "ada"
        return
    with pytest.raises(LineageError):
        verify(bytes(changed))


def test_another_key_content_or_type_is_refused():
    with pytest.raises(LineageError, match="no key under trust/"):
        verify(envelope.sign(CONTENT, envelope.IN_TOTO, EVE))
    with pytest.raises(LineageError, match="signs other bytes"):
        verify(content=CONTENT + b" ")
    with pytest.raises(LineageError, match="signs a 'application/x'"):
        verify(envelope.sign(CONTENT, "application/x", ADA))
    with pytest.raises(LineageError, match="by nobody"):
        verify(json.dumps(json.loads(SIGNED) | {"signatures": []}).encode())


def test_a_strangers_signature_under_a_trusted_name_is_refused():
    found = json.loads(envelope.sign(CONTENT, envelope.IN_TOTO, EVE))
    found["signatures"][0]["keyid"] = ADA.public_key.keyid
    with pytest.raises(LineageError, match="is not that of ada"):
        verify(json.dumps(found).encode())


@pytest.mark.parametrize("signed", [b"", b"[]", b"{}", b"null", b'{"payload": 3}', b"\xff"])
def test_what_is_no_envelope_is_told(signed):
    with pytest.raises(LineageError, match="not a DSSE envelope"):
        verify(signed)
