"""Keys are made once, kept secret, and trusted by a commit alone."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from lineage import keys
from segtrail import git as segtrail_git
from segtrail import secrets
from segtrail.errors import ConfigError, LineageError, WorkspaceError
from serving.launch import server_environment

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


def test_what_is_no_key_keeps_nobody_elses_from_being_known(root, tmp_path):
    ada = keys.new(root, "ada", None, tmp_path / "ada.pem")
    for name, content in (("eve", b"hello"), ("rsa", rsa_public())):
        (root / "trust" / f"{name}.pem").write_bytes(content)
    (root / "trust" / "link.pem").symlink_to("/etc/hostname")
    git(root, "add", "trust")
    git(root, "commit", "--quiet", "-m", "Ada, and what is no key")
    with pytest.raises(LineageError, match=r"trust/(eve|rsa).pem"):
        keys.trusted(root)
    assert set(keys.trusted(root, strict=False)) == {ada.key_id}
    git(root, "rm", "--quiet", "-r", "trust")
    git(root, "commit", "--quiet", "-m", "nobody")
    assert {key: each.name for key, each in keys.ever_trusted(root).items()} == {ada.key_id: "ada"}


def rsa_public() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048).public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, spki)


def test_the_first_name_of_a_key_stays_and_two_at_once_are_refused(root, tmp_path):
    ada = keys.new(root, "ada", None, tmp_path / "ada.pem")
    git(root, "add", "trust")
    git(root, "commit", "--quiet", "-m", "Ada may sign")
    (root / "trust" / "zelda.pem").write_bytes(ada.public.read_bytes())
    (root / "trust" / "zoë.pem").write_bytes(ada.public.read_bytes())
    git(root, "add", "trust")
    git(root, "commit", "--quiet", "-m", "Zelda takes Ada's key for hers")
    assert keys.ever_trusted(root)[ada.key_id].name == "ada"
    with pytest.raises(LineageError, match="a key has one owner"):
        keys.trusted(root)


def test_a_key_of_a_branch_that_was_merged_is_known(root, tmp_path):
    """git leaves out of a history what the merge does not show, unless it is told not to."""
    git(root, "branch", "side")
    ada = keys.new(root, "ada", None, tmp_path / "ada.pem")
    git(root, "add", "trust")
    git(root, "commit", "--quiet", "-m", "Ada may sign")
    git(root, "rm", "--quiet", "trust/ada.pem")
    git(root, "commit", "--quiet", "-m", "Ada left")
    main = segtrail_git.head(root)
    git(root, "checkout", "--quiet", "side")
    git(root, "commit", "--allow-empty", "--quiet", "-m", "meanwhile")
    git(root, "merge", "--quiet", "--no-edit", main)
    assert set(keys.ever_trusted(root)) == {ada.key_id}


def test_a_pair_is_made_whole_or_not_at_all(root, tmp_path):
    (root / "trust").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="trust"):
        keys.new(root, "ada", None, tmp_path / "ada.pem")
    assert not (tmp_path / "ada.pem").exists()
    (root / "trust").unlink()
    (tmp_path / "ada.pem").symlink_to(tmp_path / "nowhere")
    with pytest.raises(WorkspaceError, match="never overwritten"):
        keys.new(root, "ada", None, tmp_path / "ada.pem")


def test_where_a_private_key_goes_is_what_counts_not_how_it_is_written(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    with pytest.raises(ConfigError, match="lies in the repository"):
        keys.new(root, "ada", None, tmp_path / "link" / "ada.pem")
    made = keys.new(root, "ada", None, root / ".." / "outside" / "ada.pem")
    assert made.private == tmp_path / "outside" / "ada.pem"


def test_an_open_key_is_told_and_an_empty_passphrase_is_none(root, tmp_path, monkeypatch, capsys):
    made = keys.new(root, "ada", None, tmp_path / "ada.pem")
    made.private.chmod(0o644)
    monkeypatch.setenv(secrets.KEY, str(made.private))
    monkeypatch.setenv(secrets.PASSPHRASE, "")
    assert keys.signer_of_environment() is not None
    assert "others may read this private key" in "".join(capsys.readouterr())


def test_a_server_and_git_s_hooks_get_no_secret(root, tmp_path, monkeypatch):
    monkeypatch.setenv(secrets.KEY, "a path")
    monkeypatch.setenv(secrets.PASSPHRASE, SECRET)
    assert not {secrets.KEY, secrets.PASSPHRASE} & set(server_environment())
    hook = root / ".git" / "hooks" / "post-commit"
    hook.write_text(f"#!/bin/sh\nenv > {tmp_path / 'seen'}\n")
    hook.chmod(0o755)
    (root / "x").write_text("x")
    assert segtrail_git.commit(root, ["x"], "with a hook")
    seen = (tmp_path / "seen").read_text()
    assert "PATH=" in seen
    assert SECRET not in seen


def test_what_is_no_key_is_named(root, tmp_path, monkeypatch):
    (tmp_path / "x.pem").write_text("hello")
    for path, says in (("x.pem", "not a private key"), ("y.pem", "cannot be read")):
        monkeypatch.setenv(secrets.KEY, str(tmp_path / path))
        with pytest.raises(ConfigError, match=says):
            keys.signer_of_environment()
    with pytest.raises(ConfigError, match="fewer than 12"):
        keys.new(root, "ada", "short", tmp_path / "ada.pem")
    (root / "trust").mkdir()
    (root / "trust" / "eve.pem").write_text("hello")
    git(root, "add", "trust")
    git(root, "commit", "--quiet", "-m", "not a key")
    with pytest.raises(LineageError, match=r"trust/eve.pem at HEAD: not a public Ed25519 key"):
        keys.trusted(root)
