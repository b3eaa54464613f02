"""The signature of a provenance: who may sign here, and whether one holds.

A recipe's `promotion.signatures` says whether one must be there. What signs is the key that the
environment variable `SEGTRAIL_KEY` names; whom a commit trusts is under `trust/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage import envelope, keys, ledger, provenance
from lineage.keys import Trusted
from lineage.ledger import Entry
from segtrail.errors import ConfigError, LineageError, StageError
from segtrail.params import load_recipe
from segtrail.secrets import KEY
from segtrail.workspace import Workspace

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

REQUIRED = "required"
DETAIL = "signed"  # of a ledger's entry: who signed the provenance that it names


def is_demanded(params: Mapping[str, Any]) -> bool:
    """Whether a recipe, as a provenance gives it, demands signatures."""
    found: object = params.get("promotion", {}).get("signatures")
    return found == REQUIRED


def is_required(workspace: Workspace, name: str) -> bool:
    """Whether a recipe, as `params.yaml` has it now, demands signatures."""
    return load_recipe(workspace, name).promotion.signatures == REQUIRED


def signer(workspace: Workspace, name: str) -> CryptoSigner | None:
    """Returns what signs the provenance of a promotion; None where it stays unsigned.

    Args:
        workspace: The workspace.
        name: The recipe.

    Raises:
        ConfigError: There is no key though the recipe demands one; or it is not one that the
            commit trusts, so that no audit would believe it.
        LineageError: A file under `trust/` is not a public key.
    """
    found = keys.signer_of_environment()
    if found is None:
        if not is_required(workspace, name):
            return None
        raise ConfigError(
            f"{name}: promotion.signatures is {REQUIRED!r}, and {KEY} names no key to sign with",
            "segtrail keys new NAME   (and commit trust/)",
        )
    if found.public_key.keyid not in keys.trusted(workspace.root):
        raise ConfigError(
            f"{KEY} names the key {found.public_key.keyid[:12]}, which no file under trust/ of "
            "the commit has: no audit would believe its signature",
            "git add trust && git commit   (who commits there decides who may sign)",
        )
    return found


def require_key_of(workspace: Workspace, name: str, by: str) -> None:
    """Refuses a person's word that would not be signed with that person's key.

    Args:
        workspace: The workspace.
        name: The recipe, which demands signatures.
        by: The person.

    Raises:
        ConfigError: See `signer`; or the key is another person's.
    """
    found = signer(workspace, name)
    assert found is not None
    owner = keys.trusted(workspace.root)[found.public_key.keyid].name
    if owner.casefold() != by.casefold():
        raise ConfigError(
            f"{name}: {KEY} names the key of {owner}, and this is to be the word of {by}",
            f"--by {owner}, or {KEY} with the key of {by}",
        )


def refuse_unsigned(
    workspace: Workspace, name: str, version: int, details: Mapping[str, Any]
) -> None:
    """Refuses a version that the store has with a proof that nobody signed.

    Args:
        workspace: The workspace.
        name: The recipe.
        version: The version.
        details: Of the ledger's entry about it.

    Raises:
        StageError: It is unsigned, though the recipe demands a signature.
    """
    if is_required(workspace, name) and DETAIL not in details:
        raise StageError(
            f"{name} v{version} went into the store before its provenance had to be signed, and "
            "is not signed",
            "promote another model, or commit promotion.signatures: optional",
        )


def require_signed(root: Path, entries: Sequence[Entry], word: Mapping[str, Any]) -> None:
    """Refuses a person's word for a candidate that no key trusted by the commit has signed.

    Args:
        root: The workspace.
        entries: Of the ledger.
        word: See `lineage.forced.find`.

    Raises:
        StageError: It is not signed, or by nobody who is trusted.
    """
    entry = entries[word["entry"] - 1]
    try:
        if ledger.signed_by(entry, keys.trusted(root)) is not None:
            return
        why = "it is not signed"
    except LineageError as e:
        why = e.message
    raise StageError(
        f"{entry.recipe}: {word['by']} forced this candidate (line {entry.seq}), but {why}, and "
        "promotion.signatures is required",
        f"force it again, with a key: segtrail gate --recipe {entry.recipe} --force --by NAME "
        "--reason TEXT",
    )


def files(content: bytes, by: CryptoSigner | None) -> dict[str, bytes]:
    """Returns the envelope of a provenance as what goes with a model; nothing if nobody signs."""
    if by is None:
        return {}
    return {provenance.SIGNED_IN_MODEL: envelope.sign(content, envelope.IN_TOTO, by)}


def details(root: Path, by: CryptoSigner | None) -> dict[str, Any]:
    """Returns what the ledger says of who signed: once it does, a lost signature is noticed."""
    if by is None:
        return {}
    key_id = by.public_key.keyid
    return {DETAIL: {"key": key_id, "name": keys.trusted(root)[key_id].name}}


def of_stored(folder: Path, content: bytes, root: Path, commit: str) -> Trusted:
    """Returns who signed a stored version: a key trusted when it was promoted, and still.

    Args:
        folder: The version in the store.
        content: Its provenance.
        root: The workspace.
        commit: The commit that was promoted.

    Raises:
        LineageError: The signature is not there or does not hold; or the key was not trusted
            then, or is no longer.
    """
    path = folder / provenance.SIGNED_IN_MODEL
    try:
        signed = path.read_bytes()
    except OSError as e:
        raise LineageError(f"{path.name}: cannot be read: {e.strerror}") from None
    then = envelope.verify(signed, content, envelope.IN_TOTO, keys.trusted(root, commit))
    if then.key.keyid not in keys.trusted(root):
        raise LineageError(
            f"signed by {then.name} (key {then.key.keyid[:12]}), which is no longer under trust/"
        )
    return then
