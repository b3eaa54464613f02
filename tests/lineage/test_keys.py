"""Keys are made once, kept secret, and trusted by a commit alone."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from lineage import keys
from segtrail.errors import ConfigError, LineageError, WorkspaceError

SECRET = "correct horse battery"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    root.mkdir()
    git(root, "init", "--quiet")
    git(root, "commit", "--allow-empty", "--quiet", "-m", "empty")
    return root


def git(root: Path, *args: str) -> None:
    names = ("-c", "user.name=t", "-c", "user.email=t@t")
    subprocess.run(["git", "-C", root, *names, *args], check=True, capture_output=True)


def test_a_private_key_is_for_its_owner_alone_and_a_commit_trusts_the_public_one(root, tmp_path):
    made = keys.new(root, "ada", SECRET, tmp_path / "secret" / "ada.pem")
    assert stat.S_IMODE(made.private.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.private.parent.stat().st_mode) == 0o700
    assert b"ENCRYPTED" in made.private.read_bytes()
    assert made.public == root / "trust" / "ada.pem"
    assert keys.trusted(root) == {}  # not committed
    git(root, "add", "trust")
    git(root, "commit", "--quiet", "-m", "Ada may sign")
    made.public.write_text("changed in the working tree, which trusts nobody")
    found = keys.trusted(root)
    assert {key_id: each.name for key_id, each in found.items()} == {made.key_id: "ada"}
    assert keys.load(made.private, SECRET).public_key == found[made.key_id].key
    assert keys.trusted(root, "HEAD~1") == {}


def test_openssl_reads_both_keys(root, tmp_path):
    made = keys.new(root, "ada", None, tmp_path / "ada.pem")
    for what in (["-in", made.private], ["-pubin", "-in", made.public]):
        done = subprocess.run(
            ["openssl", "pkey", *what, "-noout", "-text"], capture_output=True, text=True
        )
        assert "ED25519" in done.stdout


@pytest.mark.parametrize("which", ["private", "public"])
def test_a_key_is_never_overwritten(root, tmp_path, which):
    made = keys.new(root, "ada", None, tmp_path / "ada.pem")
    kept = getattr(made, which).read_bytes()
    (made.public if which == "private" else made.private).unlink()
    with pytest.raises(WorkspaceError, match="never overwritten"):
        keys.new(root, "ada", None, tmp_path / "ada.pem")
    assert getattr(made, which).read_bytes() == kept


def test_a_private_key_does_not_go_into_the_repository(root):
    with pytest.raises(ConfigError, match="lies in the repository"):
        keys.new(root, "ada", None, root / "secrets" / "ada.pem")
    assert not (root / "trust").exists()


@pytest.mark.parametrize("name", ["", "../ada", "a/b", ".pem", "a b", "x" * 64])
def test_a_name_is_that_of_a_file(root, tmp_path, name):
    with pytest.raises(ConfigError, match="a key's name is"):
        keys.new(root, name, None, tmp_path / "key.pem")


@pytest.mark.parametrize(
    ("passphrase", "given", "says"),
    [
        (SECRET, None, "SEGTRAIL_KEY_PASSPHRASE is not set"),
        (SECRET, "another one", "is not its passphrase"),
        (None, SECRET, "is not encrypted"),
    ],
)
def test_a_passphrase_that_does_not_fit(root, tmp_path, passphrase, given, says):
    made = keys.new(root, "ada", passphrase, tmp_path / "ada.pem")
    with pytest.raises(ConfigError, match=says):
        keys.load(made.private, given)


def test_what_is_no_key_is_named(root, tmp_path, monkeypatch):
    (tmp_path / "x.pem").write_text("hello")
    for path, says in (("x.pem", "not a private key"), ("y.pem", "cannot be read")):
        monkeypatch.setenv(keys.KEY, str(tmp_path / path))
        with pytest.raises(ConfigError, match=says):
            keys.signer_of_environment()
    with pytest.raises(ConfigError, match="fewer than 12"):
        keys.new(root, "ada", "short", tmp_path / "ada.pem")
    (root / "trust").mkdir()
    (root / "trust" / "eve.pem").write_text("hello")
    git(root, "add", "trust")
    git(root, "commit", "--quiet", "-m", "not a key")
    with pytest.raises(LineageError, match=r"trust/eve.pem at HEAD: not a public key"):
        keys.trusted(root)
