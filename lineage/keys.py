"""Keys: the private one that signs, and the public ones under `trust/` that git holds.

A key is trusted because its public half, `trust/<name>.pem`, is committed: who may sign is
decided where code is reviewed. Its name is that of its owner. Keys are Ed25519 (RFC 8032), in PEM
as OpenSSL reads it; a key's id is that of securesystemslib.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segtrail import git, git_objects
from segtrail.errors import ConfigError, LineageError, WorkspaceError
from segtrail.files import write_bytes
from segtrail.progress import say
from segtrail.secrets import KEY, PASSPHRASE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from securesystemslib.signer import CryptoSigner, SSlibKey

FOLDER, SUFFIX = "trust", ".pem"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.IGNORECASE)
_SHORTEST = 12  # characters of a passphrase
_WITHOUT = f"mend it, or sign nothing here: unset {KEY}"


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
    private = private or folder() / f"{name}{SUFFIX}"
    private = private.parent.resolve() / private.name
    public = root / FOLDER / f"{name}{SUFFIX}"
    if private.is_relative_to(root.resolve()):
        raise ConfigError(
            f"{private}: lies in the repository, where a private key ends up committed",
            f"leave out --out, and it goes to {folder()}",
        )
    for path in (private, public):
        if path.exists() or path.is_symlink():
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
    content = secret.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption)
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    with _secret_file(private, content):  # taken back if the other half cannot be written
        write_bytes(public, secret.public_key().public_bytes(pem, spki))
    return Pair(private, public, SSlibKey.from_crypto(secret.public_key()).keyid)


def signer_of_environment() -> CryptoSigner | None:
    """Returns what signs here: the key that `SEGTRAIL_KEY` names; None where it is not set.

    Raises:
        ConfigError: See `load`.
    """
    path = os.environ.get(KEY)
    return load(Path(path), os.environ.get(PASSPHRASE) or None) if path else None


def load(path: Path, passphrase: str | None = None) -> CryptoSigner:
    """Reads a private key.

    Raises:
        ConfigError: It is not there, not a private key, or the passphrase does not open it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    try:
        content = path.read_bytes()
    except OSError as e:
        raise ConfigError(f"{KEY} names {path}: cannot be read: {e.strerror}", _WITHOUT) from None
    try:
        secret = load_pem_private_key(content, passphrase.encode() if passphrase else None)
    except TypeError:  # by cryptography, of either
        if not passphrase:
            raise ConfigError(
                f"{path}: is encrypted, and {PASSPHRASE} is not set", f"export {PASSPHRASE}=..."
            ) from None
        raise ConfigError(f"{path}: is not encrypted, yet {PASSPHRASE} is set") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(
            f"{path}: cannot be opened: {PASSPHRASE} is not its passphrase, or it is not a private "
            "key in PEM",
            _WITHOUT,
        ) from None
    if not isinstance(secret, Ed25519PrivateKey):
        raise ConfigError(f"{path}: is not an Ed25519 key", _WITHOUT)
    if path.stat().st_mode & 0o077:
        say(f"{path}: others may read this private key: chmod 600 {path}")
    return CryptoSigner(secret)


def trusted(root: Path, revision: str = "HEAD", *, strict: bool = True) -> dict[str, Trusted]:
    """Returns the public keys that a commit trusts, by key id.

    Args:
        root: The workspace.
        revision: The commit.
        strict: Whether a file that is no key is an error; else it is passed over, so that it keeps
            nobody else's signature from being believed.

    Raises:
        LineageError: A file under `trust/` is not a public Ed25519 key, or two are the same.
    """
    from securesystemslib.signer import SSlibKey

    found: dict[str, Trusted] = {}
    for path, content in _files(root, revision):
        public = _public(content)
        if public is None:
            if strict:
                raise LineageError(f"{path} at {revision[:12]}: not a public Ed25519 key in PEM")
            continue
        key, name = SSlibKey.from_crypto(public), Path(path).stem
        if strict and key.keyid in found:
            raise LineageError(
                f"{path} at {revision[:12]}: is the key of {found[key.keyid].name}, too: a key "
                "has one owner"
            )
        found.setdefault(key.keyid, Trusted(name, key))
    return found


def ever_trusted(root: Path) -> dict[str, Trusted]:
    """Returns the public keys that the commit, or one before it, trusts, by their first names."""
    try:
        commits = git.run(root, "log", "--full-history", "--format=%H", "--", f"{FOLDER}/").split()
    except WorkspaceError:
        commits = []  # none yet
    found: dict[str, Trusted] = {}
    for commit in commits:  # the first comes last, and its names win
        found |= trusted(root, commit, strict=False)
    return found


def _files(root: Path, revision: str) -> Iterator[tuple[str, bytes]]:
    """Yields the plain files under `trust/` that are called as keys are."""
    try:
        if not git.run(root, "ls-tree", "-z", revision, f"{FOLDER}/"):
            return
    except WorkspaceError:
        return  # no commit yet
    for name, content in git_objects.plain_files(root, revision, FOLDER).items():
        if name.endswith(SUFFIX):
            yield f"{FOLDER}/{name}", content


def _public(content: bytes) -> Ed25519PublicKey | None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PublicKey) else None


@contextlib.contextmanager
def _secret_file(path: Path, content: bytes) -> Iterator[None]:
    """Writes a file for its owner alone; it is taken away again if what follows fails."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as e:
        raise WorkspaceError(f"{path}: cannot be written: {e.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
