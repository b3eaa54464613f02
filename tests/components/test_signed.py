"""A promotion signs its provenance, and an audit believes only whom git trusts."""

from __future__ import annotations

import json
from pathlib import Path

import miniature
import pytest
import yaml
from miniature import RECIPE

from components.promote import promote, rollback
from lineage import envelope, keys, ledger, provenance
from lineage.audit import audit, exit_code
from lineage.link import Link
from segtrail import git
from segtrail.errors import ConfigError
from segtrail.files import sha256_bytes, write_text
from segtrail.workspace import Workspace


@pytest.fixture
def signing(promoted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace where v1 serves unsigned, and Ada's key signs what comes."""
    made = trust(promoted, tmp_path, "ada")
    monkeypatch.setenv(keys.KEY, str(made.private))
    return promoted


def trust(workspace: Workspace, folder: Path, name: str) -> keys.Pair:
    made = keys.new(workspace.root, name, None, folder / f"{name}.pem")
    git.commit(workspace.root, [f"trust/{name}.pem"], f"{name} may sign")
    return made


def demand(workspace: Workspace) -> None:
    """Makes the recipe demand signatures, by a commit."""
    path = workspace.root / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["recipes"][RECIPE]["promotion"] = {"signatures": "required"}
    write_text(path, yaml.safe_dump(params))
    git.commit(workspace.root, ["params.yaml"], "Signatures are required")


def link(workspace: Workspace, version: int | None = None) -> Link:
    found = audit(workspace, RECIPE, version=version)
    (signature,) = [each for each in found if each.name == "signature"]
    return signature


def signed(workspace: Workspace, version: int = 2) -> Path:
    return workspace.models / RECIPE / str(version) / provenance.SIGNED_IN_MODEL


def test_what_is_promoted_is_signed_and_the_audit_names_who_did(signing: Workspace) -> None:
    assert promote(signing, RECIPE).version == 2
    found = audit(signing, RECIPE)
    assert exit_code(found) == 0
    assert link(signing).state == "held"
    assert link(signing).says.startswith("signed by ada (key ")
    assert link(signing, 1).state == "warning"  # was promoted before
    for version, state in ((1, "broken"), (2, "held")):
        demanded = audit(signing, RECIPE, version=version, signed=True)
        states = {each.name: each.state for each in demanded}
        assert (states["signature"], states["ledger"]) == (state, state)
    done = ledger.champion(ledger.read(signing.ledger(RECIPE)))
    assert done is not None
    assert done.details["signed"]["name"] == "ada"


def test_what_the_ledger_tells_is_signed_too(signing: Workspace, monkeypatch) -> None:
    promote(signing, RECIPE)
    monkeypatch.delenv(keys.KEY)
    rollback(signing, RECIPE, 1, reason="a drill", by="Ada")
    says = {each.name: each.says for each in audit(signing, RECIPE, version=2)}
    assert says["ledger"].endswith("; 2 are signed, that of v2 by ada")
    path = signing.ledger(RECIPE)
    line = next(x for x in path.read_bytes().splitlines() if b'"signature"' in x)
    entry = json.loads(line)
    assert entry["event"] == "intent"
    forged = json.dumps(entry | {"by": "Eve"}, sort_keys=True).encode()
    rewritten = chained(path.read_bytes().replace(line, forged))
    write_text(path, rewritten.decode())
    git.commit(signing.root, [f"ledger/{RECIPE}.jsonl"], "A forged history")
    (found,) = [each for each in audit(signing, RECIPE) if each.name == "ledger"]
    assert (found.state, "is not that of ada" in found.says) == ("broken", True)


def chained(content: bytes) -> bytes:
    """Makes each line name the one before, as a forger would."""
    lines: list[bytes] = []
    for line in content.splitlines():
        previous = sha256_bytes(lines[-1]) if lines else ledger.FIRST
        raw = json.loads(line) | {"previous": previous}
        lines.append(json.dumps(raw, sort_keys=True).encode())
    return b"".join(line + b"\n" for line in lines)


def test_a_version_that_comes_back_keeps_its_signature(signing: Workspace) -> None:
    promote(signing, RECIPE)
    rollback(signing, RECIPE, 1, reason="a drill", by="Ada")
    rollback(signing, RECIPE, 2, reason="the drill is over", by="Ada")
    assert link(signing).state == "held"


def test_a_recipe_that_demands_signatures_promotes_nothing_unsigned(
    promoted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demand(promoted)
    before = ledger.read(promoted.ledger(RECIPE))
    with pytest.raises(ConfigError, match="SEGTRAIL_KEY names no key to sign with"):
        promote(promoted, RECIPE)
    made = trust(promoted, tmp_path, "ada")
    monkeypatch.setenv(keys.KEY, str(made.private))
    stranger = keys.new(tmp_path / "elsewhere", "eve", None, tmp_path / "eve.pem")
    monkeypatch.setenv(keys.KEY, str(stranger.private))
    with pytest.raises(ConfigError, match="no file under trust/ of the commit has"):
        promote(promoted, RECIPE)
    assert ledger.read(promoted.ledger(RECIPE)) == before
    monkeypatch.setenv(keys.KEY, str(made.private))
    promote(promoted, RECIPE)
    assert link(promoted).state == "held"


def forge(path: Path) -> None:
    """Flips a bit of the signature itself."""
    found = json.loads(path.read_text())
    signature = found["signatures"][0]
    signature["sig"] = ("B" if signature["sig"][0] == "A" else "A") + signature["sig"][1:]
    path.write_text(json.dumps(found))


def of_another_file(path: Path) -> None:
    """Puts a sound envelope of something else there."""
    signer = keys.signer_of_environment()
    assert signer is not None
    path.write_bytes(envelope.sign(b"{}", envelope.IN_TOTO, signer))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (forge, "the signature is not that of ada"),
        (of_another_file, "signs other bytes"),
        (Path.unlink, "provenance.dsse.json: cannot be read"),
        (lambda path: path.write_text("{"), "not a DSSE envelope"),
    ],
)
def test_a_signature_that_was_touched_breaks_its_link_alone(signing, change, says) -> None:
    promote(signing, RECIPE)
    change(signed(signing))
    found = audit(signing, RECIPE)
    assert {each.name for each in found if each.state == "broken"} == {"signature"}
    assert says in link(signing).says


def test_a_key_that_is_no_longer_trusted_breaks_what_it_signed(signing: Workspace) -> None:
    promote(signing, RECIPE)
    git.run(signing.root, "rm", "--quiet", "trust/ada.pem")
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    git.run(signing.root, *identity, "commit", "--quiet", "-m", "Ada left")
    assert "who is no longer under trust/" in link(signing).says
    assert link(signing).state == "broken"


def test_a_key_that_was_trusted_only_later_does_not_hold(
    signing: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who signs anew what was promoted before their key was trusted has signed a claim."""
    promote(signing, RECIPE)
    made = trust(signing, tmp_path, "eve")
    content = (signing.models / RECIPE / "2" / provenance.IN_MODEL).read_bytes()
    signed(signing).write_bytes(envelope.sign(content, envelope.IN_TOTO, keys.load(made.private)))
    assert link(signing).state == "broken"
    assert "no key under trust/" in link(signing).says


def test_a_demanded_signature_that_is_not_there_is_broken(signing: Workspace) -> None:
    """Also where a forged ledger says nothing of it."""
    demand(signing)
    miniature.retrain(signing, 70)
    promote(signing, RECIPE)
    version = ledger.champion(ledger.read(signing.ledger(RECIPE))).version
    signed(signing, version).unlink()
    assert link(signing, version).state == "broken"
