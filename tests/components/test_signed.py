"""A promotion signs its provenance, and an audit believes only whom git trusts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import miniature
import pytest
import yaml
from miniature import RECIPE

from components.promote import force, promote, rollback
from components.promotion import candidate
from lineage import envelope, forced, keys, ledger, ledger_check, provenance
from lineage.audit import audit, exit_code
from lineage.link import Link
from segtrail import git, secrets
from segtrail.artifacts import Verdict
from segtrail.errors import ConfigError, LineageError, StageError
from segtrail.files import read_json, sha256_bytes, write_json, write_text
from segtrail.workspace import Workspace


@pytest.fixture
def signing(promoted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace where v1 serves unsigned, and Ada's key signs what comes."""
    made = trust(promoted, tmp_path, "ada")
    monkeypatch.setenv(secrets.KEY, str(made.private))
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
    monkeypatch.delenv(secrets.KEY)
    rollback(signing, RECIPE, 1, reason="a drill", by="Ada")
    says = {each.name: each.says for each in audit(signing, RECIPE, version=2)}
    assert says["ledger"].endswith("; 2 are signed, line 4 of v2 by ada")
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
    monkeypatch.setenv(secrets.KEY, str(made.private))
    stranger = keys.new(tmp_path / "elsewhere", "eve", None, tmp_path / "eve.pem")
    monkeypatch.setenv(secrets.KEY, str(stranger.private))
    with pytest.raises(ConfigError, match="no file under trust/ of the commit has"):
        promote(promoted, RECIPE)
    assert ledger.read(promoted.ledger(RECIPE)) == before
    monkeypatch.setenv(secrets.KEY, str(made.private))
    promote(promoted, RECIPE)
    assert link(promoted).state == "held"


def test_a_force_must_be_signed_where_signatures_are_demanded(
    signing: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who can write to the folder, and has no key, gets nothing past the gate."""
    demand(signing)
    mine = secrets.KEY, str(Path(os.environ[secrets.KEY]))
    digest = candidate.digest_of(signing, RECIPE)
    verdict = miniature.verdict(digest, "fail", miniature.champion(signing), signing)
    path = Verdict.of(signing, RECIPE).path
    for signs, state in ((False, "refused"), (True, "promoted")):
        monkeypatch.setenv(*mine) if signs else monkeypatch.delenv(secrets.KEY)
        write_json(path, verdict)
        force(signing, RECIPE, read_json(path), by="Ada", reason="v1 misses whole slides")
        word = forced.find(ledger.read(signing.ledger(RECIPE)), verdict)
        write_json(path, verdict | {"forced": word})
        monkeypatch.setenv(*mine)
        if state == "refused":
            with pytest.raises(StageError, match=r"forced this candidate .*it is not signed"):
                promote(signing, RECIPE)
        else:
            version = promote(signing, RECIPE).version
    found = {each.name: each.state for each in audit(signing, RECIPE, version=version)}
    assert found["verdict"] == found["signature"] == found["ledger"] == "held"


def test_a_model_of_the_store_that_nobody_signed_does_not_come_back_signed(
    promoted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(promoted, RECIPE)
    rollback(promoted, RECIPE, 1, reason="a drill", by="Ada")
    demand(promoted)
    monkeypatch.setenv(secrets.KEY, str(trust(promoted, tmp_path, "ada").private))
    miniature.judge(promoted, candidate.digest_of(promoted, RECIPE))
    with pytest.raises(StageError, match="went into the store before its provenance had to be"):
        promote(promoted, RECIPE, again="the drill is over")


def test_a_ledger_of_another_recipe_is_not_believed(signing: Workspace) -> None:
    promote(signing, RECIPE)
    other = signing.ledger("other")
    other.write_bytes(signing.ledger(RECIPE).read_bytes())
    git.commit(signing.root, ["ledger/other.jsonl"], "A copy")
    with pytest.raises(LineageError, match="line 1: is of the ledger of 'demo'"):
        ledger_check.check(signing, "other")


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
    assert "which is no longer under trust/" in link(signing).says
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
    """The ledger says that it was, and so does the recipe."""
    demand(signing)
    miniature.retrain(signing, 70)
    promote(signing, RECIPE)
    version = ledger.champion(ledger.read(signing.ledger(RECIPE))).version
    signed(signing, version).unlink()
    assert link(signing, version).state == "broken"
