"""Keys: the private one that signs, and the public ones under `trust/` that git holds.

A key is trusted because its public half, `trust/<name>.pem`, is committed: who may sign is
decided where code is reviewed. Its name is that of its owner. Keys are Ed25519 (RFC 8032), in PEM
as OpenSSL reads it; a key's id is that of securesystemslib.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segtrail import git
from segtrail.errors import ConfigError, LineageError, WorkspaceError
from segtrail.files import write_bytes

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

FOLDER, SUFFIX = "trust", ".pem"
KEY, PASSPHRASE = "SEGTRAIL_KEY", "SEGTRAIL_KEY_PASSPHRASE"  # environment variables
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.IGNORECASE)
_SHORTEST = 12  # characters of a passphrase


@dataclass(frozen=True)
class Trusted:
    """A public key that a commit holds.

    Attributes:
        name: Whose it is: the file's name without `.pem`.
        key: The public key.
    """

    name: str
    key: SSlibKey


@dataclass(frozen=True)
class Pair:
    """Where `new` wrote a pair of keys.

    Attributes:
        private: To be kept secret, outside of the repository.
        public: To be committed.
        key_id: What signatures call it.
    """

    private: Path
    public: Path
    key_id: str


def folder() -> Path:
    """Returns where private keys are by default: a folder of the user's, not of a project."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "segtrail" / "keys"


def new(root: Path, name: str, passphrase: str | None, private: Path | None = None) -> Pair:
    """Makes a pair of keys; nothing that is there is overwritten.

    Args:
        root: The workspace, whose `trust/` gets the public key.
        name: Whose key it is.
        passphrase: Encrypts the private key; None leaves it in clear, for a machine that signs
            unattended.
        private: Where the private key goes; by default `folder()`.

    Raises:
        ConfigError: The name is no file's name, the passphrase is too short, or the private key
            would lie in the repository.
        WorkspaceError: One of the files is there.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.signer import SSlibKey

    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"a key's name is {name!r}; expected letters, digits, '.', '_' and '-', such as "
            "ada.lovelace"
        )
    if passphrase is not None and len(passphrase) < _SHORTEST:
        raise ConfigError(f"the passphrase has fewer than {_SHORTEST} characters")
    private = (private or folder() / f"{name}{SUFFIX}").absolute()
    public = root / FOLDER / f"{name}{SUFFIX}"
    if private.is_relative_to(root.resolve()) or private.is_relative_to(root):
        raise ConfigError(
            f"{private}: lies in the repository, where a private key ends up committed",
            f"leave out --out, and it goes to {folder()}",
        )
    for path in (private, public):
        if path.exists():
            raise WorkspaceError(
                f"{path}: is there already; a key is never overwritten",
                "choose another name, such as the next year's",
            )
    secret = Ed25519PrivateKey.generate()
    encryption: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase is not None
        else serialization.NoEncryption()
    )
    pem = serialization.Encoding.PEM
    _write_secret(private, secret.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption))
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    write_bytes(public, secret.public_key().public_bytes(pem, spki))
    return Pair(private, public, SSlibKey.from_crypto(secret.public_key()).keyid)


def signer_of_environment() -> CryptoSigner | None:
    """Returns what signs here: the key that `SEGTRAIL_KEY` names; None where it is not set.

    Raises:
        ConfigError: See `load`.
    """
    path = os.environ.get(KEY)
    return load(Path(path), os.environ.get(PASSPHRASE)) if path else None


def load(path: Path, passphrase: str | None = None) -> CryptoSigner:
    """Reads a private key.

    Raises:
        ConfigError: It is not there, not a private key, or the passphrase does not open it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    try:
        content = path.read_bytes()
    except OSError as e:
        raise ConfigError(
            f"{KEY} names {path}: cannot be read: {e.strerror}", "segtrail keys new --help"
        ) from None
    try:
        return CryptoSigner(
            load_pem_private_key(content, passphrase.encode() if passphrase is not None else None)
        )
    except TypeError:  # by cryptography, of either
        if passphrase is None:
            raise ConfigError(
                f"{path}: is encrypted, and {PASSPHRASE} is not set", f"export {PASSPHRASE}=..."
            ) from None
        raise ConfigError(f"{path}: is not encrypted, yet {PASSPHRASE} is set") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(
            f"{path}: cannot be opened: {PASSPHRASE} is not its passphrase, or it is not a private "
            "key in PEM",
            "segtrail keys new --help",
        ) from None


def trusted(root: Path, revision: str = "HEAD") -> dict[str, Trusted]:
    """Returns the public keys that a commit trusts, by key id.

    Raises:
        LineageError: A file under `trust/` is not a public key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    found: dict[str, Trusted] = {}
    try:
        names = git.run(root, "ls-tree", "--name-only", revision, f"{FOLDER}/").splitlines()
    except WorkspaceError:
        return found  # no commit yet
    for path in names:
        if not path.endswith(SUFFIX):
            continue
        try:
            key = SSlibKey.from_crypto(load_pem_public_key(git.show(root, revision, path)))
        except (ValueError, UnsupportedAlgorithm):
            raise LineageError(f"{path} at {revision[:12]}: not a public key in PEM") from None
        found[key.keyid] = Trusted(Path(path).stem, key)
    return found


def ever_trusted(root: Path) -> dict[str, Trusted]:
    """Returns the public keys that the commit, or one before it, trusts: see `trusted`."""
    try:
        commits = git.run(root, "log", "--format=%H", "--", f"{FOLDER}/").split()
    except WorkspaceError:
        commits = []
    found: dict[str, Trusted] = {}
    for commit in reversed(commits):
        found |= trusted(root, commit)
    return found


def _write_secret(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as f:
        f.write(content)
