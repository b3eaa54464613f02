"""A ledger entry is signed by whom git trusts, and its signature is of that entry alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from lineage import keys, ledger
from segtrail import secrets
from segtrail.errors import LineageError


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ledger of a workspace that trusts Ada, whose key signs."""
    root = tmp_path / "workspace"
    root.mkdir()
    git(root, "init", "--quiet")
    made = keys.new(root, "ada", None, tmp_path / "ada.pem")
    git(root, "add", "trust")
    git(root, "commit", "--quiet", "-m", "Ada may sign")
    monkeypatch.setenv(secrets.KEY, str(made.private))
    return root / "ledger" / "demo.jsonl"


def git(root: Path, *args: str) -> None:
    names = ("-c", "user.name=t", "-c", "user.email=t@t")
    subprocess.run(["git", "-C", root, *names, *args], check=True, capture_output=True)


def add(path: Path, version: int = 1) -> ledger.Entry:
    return ledger.append(path, ledger.DONE, version=version, model_digest="a" * 64, by="Ada")


def signers(path: Path) -> list[str | None]:
    known = keys.ever_trusted(path.parents[1])
    found = [ledger.signed_by(entry, known) for entry in ledger.read(path)]
    return [each.name if each else None for each in found]


def edited(path: Path, line: int, **changes: object) -> None:
    """Edits a line and chains those after it anew, as a forger would."""
    entries = ledger.parse(path.read_bytes())
    lines: list[bytes] = []
    for number, entry in enumerate(entries, 1):
        raw = json.loads(ledger.encode(entry))
        if number == line:
            raw |= changes
        raw["previous"] = ledger.sha256_bytes(lines[-1]) if lines else ledger.FIRST
        lines.append(json.dumps(raw, sort_keys=True).encode())
    path.write_bytes(b"".join(each + b"\n" for each in lines))
    assert ledger.verify(path) == []  # the chain alone does not show it


def test_with_a_key_entries_are_signed_and_without_they_are_as_before(path, monkeypatch):
    add(path)
    monkeypatch.delenv(secrets.KEY)
    add(path, 2)
    assert ledger.verify(path) == []
    assert signers(path) == ["ada", None]
    assert "signature" not in json.loads(path.read_bytes().splitlines()[1])


@pytest.mark.parametrize(
    "changes", [{"by": "Eve"}, {"version": 7}, {"model_digest": "b" * 64}, {"at": "2020"}]
)
def test_an_entry_that_was_edited_and_chained_anew_is_found(path, changes):
    for version in (1, 2, 3):
        add(path, version)
    edited(path, 2, **changes)
    with pytest.raises(LineageError, match="line 2: its signature is not that of ada"):
        signers(path)


def test_an_entry_that_was_moved_is_found(path):
    """The signature is over the digest of the line before, too."""
    for version in (1, 2, 3):
        add(path, version)
    first, _, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + third)
    edited(path, 2, seq=2)
    with pytest.raises(LineageError, match="line 2"):
        signers(path)


def test_a_key_that_left_still_vouches_for_what_it_signed_and_a_strangers_does_not(
    path, tmp_path, monkeypatch, capsys
):
    add(path)
    git(path.parents[1], "rm", "--quiet", "trust/ada.pem")
    git(path.parents[1], "commit", "--quiet", "-m", "Ada left")
    assert signers(path) == ["ada"]
    add(path, 2)
    assert "which no commit trusts: the entry is not signed" in "".join(capsys.readouterr())
    assert signers(path) == ["ada", None]
    stranger = keys.load(keys.new(tmp_path / "x", "eve", None, tmp_path / "eve.pem").private)
    edited(path, 2, signature={"key": stranger.public_key.keyid, "sig": "AAAA"})
    with pytest.raises(LineageError, match=r"line 2: signed by .*, whom git never trusted"):
        signers(path)


@pytest.mark.parametrize("given", [{}, {"key": 3}, {"key": "x", "sig": None}])
def test_what_is_no_signature_is_an_error_and_no_crash(path, given):
    add(path)
    edited(path, 1, signature=given)
    with pytest.raises(LineageError, match="line 1"):
        signers(path)


def test_a_signature_that_is_no_object_is_no_entry(path):
    add(path)
    path.write_bytes(path.read_bytes().replace(b'"signature": {', b'"signature": [{').replace(
        b'}, "version"', b'}], "version"'))  # fmt: skip
    assert "its signature is not an object" in ledger.verify(path)[0]
