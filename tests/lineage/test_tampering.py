"""Whatever is changed of what an audit reads, it fails, and names the link."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path

import forgery
import miniature
import pytest
from miniature import RECIPE

from components.promote import force, promote, reject
from lineage import dvc_files, forced, keys, ledger, provenance
from lineage.audit import _CHAIN, audit, exit_code
from lineage.ledger_head import Head
from lineage.link import Link
from segtrail import git, secrets
from segtrail.artifacts import Verdict
from segtrail.files import read_json, write_json
from segtrail.saved_model import file_digests
from segtrail.workspace import Workspace
from serving import config

VERSION = 2
# a SavedModel by TensorFlow, and what the stand-in for the server reads
MODEL = (
    "fingerprint.pb", "saved_model.pb", "variables/threshold",
    "variables/variables.data-00000-of-00001", "variables/variables.index",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(template: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose v2 serves: signed, and forced past a gate that rejected it."""
    folder = tmp_path_factory.mktemp("whole")
    workspace = miniature.copy(template, folder / "workspace")
    with pytest.MonkeyPatch.context() as monkeypatch:
        miniature.put_server_on_path(folder / "bin", monkeypatch)
        pair = keys.new(workspace.root, "ada", None, folder / "ada.pem")
        git.commit(workspace.root, ["trust/ada.pem"], "Ada may sign")
        monkeypatch.setenv(secrets.KEY, str(pair.private))
        promote(workspace, RECIPE)
        made = miniature.save_models(folder / "models", [70])
        digest = miniature.retrain(workspace, 70, saved_model=made[70])
        path = Verdict.of(workspace, RECIPE).path
        write_json(
            path, miniature.verdict(digest, "fail", miniature.champion(workspace), workspace)
        )
        reject(workspace, RECIPE, read_json(path))
        force(workspace, RECIPE, read_json(path), by="ada", reason="v1 misses whole slides")
        word = forced.find(ledger.read(workspace.ledger(RECIPE)), read_json(path))
        write_json(path, read_json(path) | {"forced": word})
        promote(workspace, RECIPE)
    return workspace


@pytest.fixture
def workspace(whole: Workspace, tmp_path: Path) -> Workspace:
    return miniature.copy(whole, tmp_path / "workspace")


def test_the_untouched_one_passes(workspace: Workspace) -> None:
    for signed in (False, True):
        links = audit(workspace, RECIPE, signed=signed)
        assert {link.name: link.says for link in links if link.state != "held"} == {}
        assert exit_code(links) == 0
    assert set(file_digests(folder(workspace))) == set(MODEL)


# --- what is changed --------------------------------------------------------------------------


def folder(w: Workspace) -> Path:
    return w.models / RECIPE / str(VERSION)


def proof(w: Workspace) -> Path:
    return folder(w) / provenance.IN_MODEL


def in_store(name: str) -> Callable[[Workspace], None]:
    return lambda w: miniature.flip(folder(w) / name)


def rename_in_store(w: Workspace) -> None:
    (folder(w) / "variables/threshold").rename(folder(w) / "variables/treshold")


def link_in_store(w: Workspace) -> None:
    """The same bytes, for now."""
    path = folder(w) / "saved_model.pb"
    path.rename(w.root / "elsewhere.pb")
    path.symlink_to(w.root / "elsewhere.pb")


def add_in_store(name: str) -> Callable[[Workspace], None]:
    return lambda w: miniature.write_text(folder(w) / name, "added")


def in_config(old: str, new: str) -> Callable[[Workspace], None]:
    def change(w: Workspace) -> None:
        text = w.models_config.read_text()
        assert re.search(old, text), text
        w.models_config.write_text(re.sub(old, new, text, count=1))

    return change


def commit_of(w: Workspace) -> str:
    return str(ledger.champion(ledger.read(w.ledger(RECIPE))).details["git_commit"])


def cached(w: Workspace, path: str) -> Path:
    """Returns the cache object of a file of the data, or of an output of the pipeline."""
    return forgery.cached(w, commit_of(w), path)


def in_cache(path: str) -> Callable[[Workspace], None]:
    return lambda w: miniature.flip(cached(w, path))


def lost_in_cache(path: str) -> Callable[[Workspace], None]:
    return lambda w: cached(w, path).unlink()


def other_split(w: Workspace) -> None:
    """A test image becomes one to learn from."""
    forgery.overwrite(cached(w, "data/tiny/splits.csv"), lambda b: b.replace(b",test,", b",train,"))


def other_image(w: Workspace) -> None:
    path = cached(w, "data/tiny/images/one.png")
    forgery.overwrite(path, lambda _: cached(w, "data/tiny/images/two.png").read_bytes())


def other_listing(w: Workspace) -> None:
    """A file of another name."""
    md5 = dvc_files.parse_lock(
        git.run_bytes(w.root, "show", f"{commit_of(w)}:dvc.lock"), RECIPE
    ).dependents("data/tiny")["examples"]
    path = dvc_files.object_path(dvc_files.cache_folder(w.root), forgery.data_md5(w, commit_of(w)))
    assert md5
    forgery.overwrite(path, lambda b: b.replace(b"one.png", b"uno.png"))


def git_object(name: str, change: Callable[[bytes], bytes]) -> Callable[[Workspace], None]:
    """Puts other content under an old name, soundly packed, which git itself would not notice."""

    def tamper(w: Workspace) -> None:
        object_id = git.run(w.root, "rev-parse", name.format(commit=commit_of(w)))
        path = w.root / ".git/objects" / object_id[:2] / object_id[2:]
        head, _, content = zlib.decompress(path.read_bytes()).partition(b"\0")
        changed = change(content)
        assert changed != content
        kind = head.split()[0]
        forgery.overwrite(
            path,
            lambda _: zlib.compress(kind + b" " + str(len(changed)).encode() + b"\0" + changed),
        )

    return tamper


def committed(path: str, old: bytes, new: bytes) -> Callable[[Workspace], None]:
    return git_object(f"{{commit}}:{path}", lambda content: content.replace(old, new))


def lost_commit(w: Workspace) -> None:
    commit = commit_of(w)
    (w.root / ".git/objects" / commit[:2] / commit[2:]).unlink()


def move_tag(w: Workspace) -> None:
    git.run(w.root, "tag", "--force", "--annotate", "demo/v2", "HEAD~3", "-m", "moved")


def reword_tag(w: Workspace) -> None:
    message = f"demo v2\n\nledger-head: 9 {'a' * 64}"
    target = git.tag_target(w.root, "demo/v2")
    git.run(w.root, "tag", "--force", "--annotate", "demo/v2", str(target), "-m", message)


def in_statement(old: str, new: str) -> Callable[[Workspace], None]:
    def change(w: Workspace) -> None:
        text = proof(w).read_text()
        assert re.search(old, text), old
        proof(w).write_text(re.sub(old, new, text, count=1))

    return change


def lines(w: Workspace, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path = w.ledger(RECIPE)
    old = path.read_bytes().splitlines()
    new = change(old)
    assert new != old
    path.write_bytes(b"".join(line + b"\n" for line in new))


def in_ledger(number: int, old: bytes, new: bytes) -> Callable[[Workspace], None]:
    def change(found: list[bytes]) -> list[bytes]:
        assert old in found[number - 1], found[number - 1]
        found = list(found)
        found[number - 1] = found[number - 1].replace(old, new, 1)
        return found

    return lambda w: lines(w, change)


def commit_ledger(w: Workspace) -> None:
    git.commit(w.root, [f"ledger/{RECIPE}.jsonl"], "As if nothing had been")


def cut_and_committed(w: Workspace) -> None:
    """The last promotion never was: its tag is gone, and v1 serves."""
    lines(w, lambda found: found[:2])
    commit_ledger(w)
    git.run(w.root, "tag", "--delete", "demo/v2")
    config.set_champion(w.models_config, RECIPE, w.models / RECIPE, 1)
    miniature.mlflow_record.client(w).set_registered_model_alias(RECIPE, "champion", "1")


def unsign_line(w: Workspace) -> None:
    def change(found: list[bytes]) -> list[bytes]:
        raw = [json.loads(line) for line in found]
        del raw[3]["signature"]
        return forgery.chained(raw)

    lines(w, change)
    commit_ledger(w)


def append_line(w: Workspace) -> None:
    """Sound, and in nobody's commit."""
    ledger.append(
        w.ledger(RECIPE), ledger.REJECTED, version=None, model_digest="b" * 64, by="Eve",
        details={"verdict": "fail", "rules": []},
    )  # fmt: skip


def in_mlflow(statement: str) -> Callable[[Workspace], None]:
    def tamper(w: Workspace) -> None:
        run = miniature.mlflow_record.version(w, RECIPE, VERSION).run_id
        with sqlite3.connect(w.root / "mlflow.db") as db:
            assert db.execute(statement.replace("RUN", f"'{run}'")).rowcount > 0

    return tamper


def artifact(w: Workspace) -> Path:
    run = miniature.mlflow_record.version(w, RECIPE, VERSION).run_id
    return w.mlflow_artifacts / RECIPE / str(run) / "artifacts/history.csv"


def registered(w: Workspace, version: int = VERSION) -> Path:
    source = miniature.mlflow_record.version(w, RECIPE, version).source
    return Path(str(source).removeprefix("file://"))


def other_source(w: Workspace) -> None:
    with sqlite3.connect(w.root / "mlflow.db") as db:
        for column in ("source", "storage_location"):
            db.execute(
                f"UPDATE model_versions SET {column} = ? WHERE version = ?",
                (registered(w, 1).as_uri(), VERSION),
            )


def envelope_of(w: Workspace) -> Path:
    return folder(w) / provenance.SIGNED_IN_MODEL


def in_envelope(change: Callable[[dict], None]) -> Callable[[Workspace], None]:
    def tamper(w: Workspace) -> None:
        found = json.loads(envelope_of(w).read_text())
        change(found)
        envelope_of(w).write_text(json.dumps(found))

    return tamper


def other_sig(found: dict) -> None:
    sig = found["signatures"][0]["sig"]
    found["signatures"][0]["sig"] = ("B" if sig[0] == "A" else "A") + sig[1:]


def no_key(w: Workspace) -> None:
    git.run(w.root, "rm", "--quiet", "trust/ada.pem")
    git.run(w.root, "commit", "--quiet", "-m", "Ada left")


def other_key(w: Workspace) -> None:
    """Another key by the same name."""
    made = keys.new(w.root.parent / "eve", "ada", None, w.root.parent / "eve.pem")
    shutil.copy(made.public, w.root / "trust/ada.pem")
    git.commit(w.root, ["trust/ada.pem"], "A new key")


DATA, CONFIG, RESULTS = "data bytes", "serving configuration", "artifacts/demo"
UPDATE = "UPDATE {} WHERE run_uuid = RUN"
MUTATIONS: dict[str, tuple[Callable[[Workspace], None], str]] = {
    **{f"store: {name}": (in_store(name), "model store") for name in MODEL},
    "store: a file added": (add_in_store("assets/more.txt"), "model store"),
    "store: a file removed": (lambda w: (folder(w) / MODEL[0]).unlink(), "model store"),
    "store: a file renamed": (rename_in_store, "model store"),
    "store: a file behind a link": (link_in_store, "model store"),
    "store: a golden image": (in_store("assets.extra/segtrail/golden/one.png"), "provenance"),
    "store: a golden mask": (in_store("assets.extra/segtrail/golden/two.mask.png"), "provenance"),
    "store: golden answers": (in_store("assets.extra/segtrail/golden/golden.json"), "provenance"),
    "store: a golden added": (add_in_store("assets.extra/segtrail/golden/x.png"), "provenance"),
    "config: version": (in_config("versions: 2", "versions: 1"), CONFIG),
    "config: one version more": (
        in_config("versions: 2", "versions: 2 versions: 1"), CONFIG,
    ),
    "config: label": (in_config('"stable"', '"stale"'), CONFIG),
    "config: label's version": (in_config("value: 2", "value: 1"), CONFIG),
    "config: base path": (in_config("/serving/models", "/serving/models2"), CONFIG),
    "config: platform": (in_config('"tensorflow"', '"tensorflow2"'), CONFIG),
    "config: name": (in_config('name: "demo"', 'name: "dem0"'), CONFIG),
    "config: a byte": (in_config("model_config_list", "model_config_lisu"), CONFIG),
    "data: an image": (in_cache("data/tiny/images/one.png"), DATA),
    "data: a mask": (in_cache("data/tiny/masks/two.png"), DATA),
    "data: an image for another": (other_image, DATA),
    "data: a split": (other_split, "deliveries and splits"),
    "data: the split ledger's bytes": (in_cache("data/tiny/splits.csv"), DATA),
    "data: a delivery": (in_cache("data/tiny/deliveries.csv"), "deliveries and splits"),
    "data: a file's name": (other_listing, "data version"),
    "git: dvc.lock": (committed("dvc.lock", b"md5: ", b"md5:  "), "dvc.lock"),
    "git: data.dvc": (committed("data.dvc", b"size: ", b"size: 1"), "git commit"),
    "git: the recipe": (committed("params.yaml", b"steps: 3", b"steps: 4"), "recipe"),
    "git: a comment in the recipe": (
        committed("params.yaml", b"steps: 3", b"steps: 3 # hm"), "git commit",
    ),
    "git: requirements": (committed("requirements.lock", b"2.4.0", b"2.4.1"), "requirements"),
    "git: code": (committed("network.py", b"16", b"32"), "git commit"),
    "git: code of a folder": (committed("training/loss.py", b"1.0", b"2.0"), "git commit"),
    "git: a key": (committed("trust/ada.pem", b"A", b"B"), "git commit"),
    "git: a folder": (
        git_object("{commit}:training", lambda b: b.replace(b"loss.py", b"lost.py")), "git commit",
    ),
    "git: the folder of the ledger": (
        git_object("HEAD:ledger", lambda b: b.replace(b"demo.jsonl", b"demo.jsonk")), "ledger",
    ),
    "git: the folder of the keys": (
        git_object("HEAD:trust", lambda b: b.replace(b"ada.pem", b"eve.pem")), "signature",
    ),
    "git: the commit's date": (
        git_object("{commit}", lambda b: re.sub(rb"> 1(\d{9}) ", rb"> 2\1 ", b)), "git commit",
    ),
    "git: the commit lost": (lost_commit, "git commit"),
    "git: tag moved": (move_tag, "git tag"),
    "git: tag removed": (lambda w: git.run(w.root, "tag", "-d", "demo/v2"), "git tag"),
    "git: tag's message": (reword_tag, "ledger head"),
    "validation": (in_cache(f"{RESULTS}/validation/result.json"), "validation"),
    "evaluation": (in_cache(f"{RESULTS}/evaluation/metrics.json"), "evaluation"),
    "evaluation: each image": (in_cache(f"{RESULTS}/evaluation/per_image.parquet"), "evaluation"),
    "verdict: value": (in_statement('"value": 0.75', '"value": 0.95'), "provenance"),
    "verdict: verdict": (in_statement('"verdict": "fail"', '"verdict": "pass"'), "provenance"),
    "statement: date": (in_statement(r'"startedOn": "2', '"startedOn": "1'), "provenance"),
    "statement: seed": (in_statement('"seed": 1', '"seed": 2'), "provenance"),
    "statement: subject": (in_statement('"saved_model.pb"', '"saved_model.pc"'), "provenance"),
    "statement: delivery": (in_statement('"licence": "CC0', '"licence": "CC1'), "provenance"),
    "statement: a space": (in_statement("\n$", " \n"), "provenance"),
    "statement: lost": (lambda w: proof(w).unlink(), "provenance"),
    "ledger: who": (in_ledger(4, b'"by": "ada"', b'"by": "eve"'), "ledger"),
    "ledger: date": (in_ledger(2, b'"at": "2', b'"at": "1'), "ledger"),
    "ledger: reason": (in_ledger(4, b"misses", b"missed"), "ledger"),
    "ledger: digest": (in_ledger(3, b'"model_digest": "', b'"model_digest": "0'), "ledger"),
    "ledger: event": (in_ledger(6, b'"done"', b'"failed"'), "ledger"),
    "ledger: a line removed": (lambda w: lines(w, lambda x: x[:2] + x[3:]), "ledger"),
    "ledger: lines swapped": (lambda w: lines(w, lambda x: [*x[:2], x[3], x[2], *x[4:]]), "ledger"),
    "ledger: a line twice": (lambda w: lines(w, lambda x: [*x, x[-1]]), "ledger"),
    "ledger: cut off": (lambda w: lines(w, lambda x: x[:-1]), "ledger"),
    "ledger: half a line": (
        lambda w: forgery.overwrite(w.ledger(RECIPE), lambda b: b[:-30]), "ledger",
    ),
    "ledger: a line added": (append_line, "ledger"),
    "ledger: cut off, and committed": (cut_and_committed, "ledger head"),
    "ledger: a signature taken away": (unsign_line, "ledger head"),
    "ledger: lost": (lambda w: w.ledger(RECIPE).unlink(), "ledger"),
    "head: edited": (
        in_mlflow("UPDATE registered_model_tags SET value = replace(value, '6 ', '5 ')"),
        "ledger head",
    ),
    "head: removed": (in_mlflow("DELETE FROM registered_model_tags"), "ledger head"),
    "mlflow: parameter": (in_mlflow(UPDATE.format("params SET value = '4'")), "training run"),
    "mlflow: parameter removed": (
        in_mlflow("DELETE FROM params WHERE run_uuid = RUN"), "training run",
    ),
    "mlflow: parameter added": (
        in_mlflow("INSERT INTO params (key, value, run_uuid) VALUES ('lr', '1', RUN)"),
        "training run",
    ),
    "mlflow: metric": (
        in_mlflow(UPDATE.format("metrics SET value = 0.3") + " AND step = 2"), "training run",
    ),
    "mlflow: metric's step": (
        in_mlflow(UPDATE.format("metrics SET step = 7") + " AND step = 2"), "training run",
    ),
    "mlflow: metric's time": (
        in_mlflow(UPDATE.format("metrics SET timestamp = 5") + " AND step = 2"), "training run",
    ),
    "mlflow: metric's history": (
        in_mlflow("DELETE FROM metrics WHERE run_uuid = RUN AND step = 0"), "training run",
    ),
    "mlflow: tag": (
        in_mlflow(UPDATE.format("tags SET value = 'x'") + " AND key = 'segtrail.recipe'"),
        "training run",
    ),
    "mlflow: tag removed": (in_mlflow("DELETE FROM tags WHERE run_uuid = RUN"), "training run"),
    "mlflow: artifact": (lambda w: miniature.flip(artifact(w)), "training run"),
    "mlflow: artifact lost": (lambda w: artifact(w).unlink(), "training run"),
    "mlflow: artifact renamed": (
        lambda w: artifact(w).rename(artifact(w).with_name("storia.csv")), "training run",
    ),
    "mlflow: status": (in_mlflow(UPDATE.format("runs SET status = 'FAILED'")), "training run"),
    "mlflow: start": (in_mlflow(UPDATE.format("runs SET start_time = 5")), "training run"),
    "mlflow: run deleted": (
        in_mlflow(UPDATE.format("runs SET lifecycle_stage = 'deleted'")), "training run",
    ),
    "registry: digest": (in_mlflow("UPDATE model_version_tags SET value = 'x'"), "MLflow registry"),
    "registry: alias": (
        in_mlflow("UPDATE registered_model_aliases SET version = 1"), "MLflow registry",
    ),
    "registry: run": (in_mlflow("UPDATE model_versions SET run_id = 'x'"), "training run"),
    "registry: a file": (lambda w: miniature.flip(registered(w) / MODEL[1]), "MLflow model"),
    "registry: another folder": (other_source, "MLflow model"),
    "signature": (in_envelope(other_sig), "signature"),
    "signature: key id": (
        in_envelope(lambda e: e["signatures"][0].update(keyid="0" * 64)), "signature",
    ),
    "signature: payload": (in_envelope(lambda e: e.update(payload="e30=")), "signature"),
    "signature: type": (in_envelope(lambda e: e.update(payloadType="text/plain")), "signature"),
    "signature: lost": (lambda w: envelope_of(w).unlink(), "signature"),
    "key: taken away": (no_key, "signature"),
    "key: another one": (other_key, "signature"),
}  # fmt: skip


# what breaks with it, since it is read there, too; nothing else does
BESIDE = {
    "config: version": {"ledger"},
    "config: label's version": {"ledger"},
    "config: name": {"MLflow registry", "ledger"},
    "config: a byte": {"ledger"},
    "data: a split": {"data bytes"},
    "data: the split ledger's bytes": {"deliveries and splits"},
    "data: a delivery": {"data bytes"},
    "git: dvc.lock": {"git commit"},
    "git: data.dvc": {"data version"},
    "git: the recipe": {"git commit"},
    "git: a comment in the recipe": {"recipe"},
    "git: requirements": {"git commit"},
    "git: the folder of the ledger": {"git tag", "ledger head"},
    "git: the folder of the keys": {"git commit", "ledger"},
    "git: a key": {"ledger", "signature"},
    "git: the commit's date": {"working tree"},
    "git: the commit lost": {"ledger", "working tree"},
    "ledger: who": {"verdict"},
    "ledger: date": {"ledger head"},
    "ledger: reason": {"verdict"},
    "ledger: event": {"ledger head"},
    "ledger: a line removed": {"ledger head"},
    "ledger: cut off": {"ledger head"},
    "ledger: half a line": {"approvals", "ledger head", "verdict"},
    "ledger: cut off, and committed": {"ledger"},
    "ledger: a signature taken away": {"ledger"},
    "ledger: lost": {"ledger head", "verdict"},
}


def broken(links: list[Link]) -> dict[str, str]:
    return {link.name: link.says for link in links if link.state == "broken"}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_change_breaks_its_link(workspace: Workspace, name: str) -> None:
    tamper, link = MUTATIONS[name]
    tamper(workspace)
    links = audit(workspace, RECIPE, version=VERSION)
    expected = {link} | BESIDE.get(name, set())
    assert set(broken(links)) == expected, {each.name: each.says for each in links}
    assert exit_code(links) == 5


LOST = {
    "data/tiny/images/two.png": DATA, "data/tiny/splits.csv": "deliveries and splits",
    f"{RESULTS}/validation/result.json": "validation",
    f"{RESULTS}/evaluation/metrics.json": "evaluation",
}  # fmt: skip


@pytest.mark.parametrize("path", LOST)
def test_what_the_cache_lacks_is_not_checked_and_comes_from_the_remote(
    workspace: Workspace, path: str, tmp_path: Path
) -> None:
    add_remote(workspace, tmp_path)
    miniature.dvc(workspace.root, "push", "--quiet")
    lost_in_cache(path)(workspace)
    links = {each.name: each for each in audit(workspace, RECIPE)}
    assert links[LOST[path]].state == "not checked"
    assert links[LOST[path]].says.endswith("segtrail audit --fetch")
    assert exit_code(links.values()) == 6
    links = {each.name: each for each in audit(workspace, RECIPE, fetch=True)}
    assert links["remote"].says == "1 files came from the remote", links
    assert exit_code(links.values()) == 0


def test_what_the_remote_lacks_is_lost(workspace: Workspace, tmp_path: Path) -> None:
    lost_in_cache("data/tiny/images/two.png")(workspace)
    (found,) = [x for x in audit(workspace, RECIPE, fetch=True) if x.name == "remote"]
    assert (found.state, "DVC says: " in found.says) == ("broken", True), found  # there is none
    add_remote(workspace, tmp_path)
    links = audit(workspace, RECIPE, fetch=True)  # a disk that is not mounted
    assert broken(links) == {}
    (found,) = [x for x in links if x.name == "remote"]
    assert found.state == "not checked"
    assert found.says.startswith("the remote 'store' cannot be reached: no folder ")
    (tmp_path / "store").mkdir()
    found = broken(audit(workspace, RECIPE, fetch=True))
    assert found["remote"] == "the remote lacks 1 of 1 files"


def add_remote(w: Workspace, folder: Path) -> None:
    miniature.dvc(w.root, "remote", "add", "--quiet", "--default", "store", str(folder / "store"))


def test_a_copy_elsewhere_is_known_by_its_bytes(workspace: Workspace, tmp_path: Path) -> None:
    copied = tmp_path / "deployed"
    shutil.copytree(folder(workspace), copied)
    links = audit(workspace, RECIPE, folder=copied)
    assert (links.links[0].says, exit_code(links)) == ("deployed is v2, to the last byte", 0)
    links = audit(workspace, RECIPE, folder=copied, version=1)
    assert "the version in" in broken(links)["given folder"]
    miniature.flip(copied / "saved_model.pb")
    links = audit(workspace, RECIPE, folder=copied)
    says = broken(links)["given folder"]
    assert says.endswith("no line of the ledger has; it differs from v2: saved_model.pb")
    assert {link.state for link in links.links[1:]} == {"not checked"}
    links = audit(workspace, RECIPE, folder=tmp_path / "none")
    assert "is no folder" in broken(links)["given folder"]


def test_the_documents_say_how_many_there_are_and_of_which_links() -> None:
    docs = Path(__file__).parents[2] / "docs"
    for page in ("audit.md", "signatures.md"):
        assert f"{len(MUTATIONS)} changes" in (docs / page).read_text()
    # Verdict, infra validation and approvals lie in statement and ledger; the last two links are of
    # what no digest names.
    others = {"verdict", "infra validation", "approvals", "code", "working tree"}
    assert {name for name, _ in _CHAIN} - {link for _, link in MUTATIONS.values()} == others


# --- whoever can write everything, and has no key ------------------------------------------------


def test_a_consistent_forgery_is_caught_by_the_signature_alone(workspace: Workspace) -> None:
    """A better evaluation, and every digest above it computed anew, up to MLflow and the tags."""
    forgery.better_evaluation(workspace, VERSION)
    links = audit(workspace, RECIPE)
    assert broken(links) == {}  # docs/signatures.md says so
    (evaluation,) = [link.says for link in links if link.name == "evaluation"]
    assert "mean IoU 0.990" in evaluation
    assert set(broken(audit(workspace, RECIPE, signed=True))) >= {"signature", "ledger"}


def test_a_forgery_that_keeps_the_signature_is_caught_without_being_asked(
    workspace: Workspace,
) -> None:
    signed = envelope_of(workspace).read_bytes()
    forgery.better_evaluation(workspace, VERSION)
    envelope_of(workspace).write_bytes(signed)
    assert "signs other bytes" in broken(audit(workspace, RECIPE))["signature"]


def test_what_git_is_told_to_read_instead_is_not_read(workspace: Workspace) -> None:
    """`git replace` changes what git shows of a commit, and not what the audit sees."""
    old = git.run(workspace.root, "rev-parse", f"{commit_of(workspace)}:network.py")
    new = git.run(workspace.root, "hash-object", "-w", "--stdin", stdin="FILTERS = 64\n")
    git.run(workspace.root, "replace", old, new)
    assert exit_code(audit(workspace, RECIPE)) == 0


def test_a_note_on_a_run_says_nothing_against_it(workspace: Workspace) -> None:
    run = miniature.mlflow_record.version(workspace, RECIPE, VERSION).run_id
    miniature.mlflow_record.client(workspace).set_tag(run, "mlflow.note.content", "the good one")
    assert exit_code(audit(workspace, RECIPE)) == 0


def test_the_head_is_what_the_documents_say() -> None:
    content = b"one\ntwo\n"
    head = Head.of(content)
    assert head == Head.parse(str(head)) == Head.of_message(f"v1\n\nledger-head: {head}\n")
    assert head.missing(content + b"three\n") is None
    assert "line 2 is missing; there are 1" in str(head.missing(b"one\n"))
    assert "line 2 is another one" in str(head.missing(b"one\n2\n"))
    assert Head.of(b"") is None
    assert os.linesep == "\n"


def test_an_unsigned_rollback_is_told_where_signatures_are_demanded(workspace: Workspace) -> None:
    """It needs no key, so that it can be done in an emergency; an auditor is to hear of it."""
    old = [e for e in ledger.read(workspace.ledger(RECIPE)) if e.version == VERSION][-1]
    for event in (ledger.INTENT, ledger.DONE):
        ledger.append(
            workspace.ledger(RECIPE), event, version=VERSION, model_digest=old.model_digest,
            details={**old.details, "rollback": "a drill"},
        )  # fmt: skip
    commit_ledger(workspace)
    assert exit_code(audit(workspace, RECIPE)) == 0
    found = broken(audit(workspace, RECIPE, signed=True))["ledger"]
    assert found.startswith("line 8, by which v2 came back, is signed by nobody, though ada")


def test_a_line_that_nobody_signed_after_others_did_is_named(workspace: Workspace) -> None:
    append_line(workspace)
    commit_ledger(workspace)
    (found,) = [x for x in audit(workspace, RECIPE, signed=True) if x.name == "ledger"]
    says = "signed by nobody, though lines before them are: line 7 (rejected, by Eve)"
    assert (found.state, found.says) == ("warning", says)


def test_what_git_was_told_not_to_look_at_is_named(workspace: Workspace) -> None:
    git.run(workspace.root, "update-index", "--assume-unchanged", "network.py")
    git.run(workspace.root, "update-index", "--skip-worktree", "training/loss.py")
    (found,) = [x for x in audit(workspace, RECIPE) if x.name == "working tree"]
    assert (found.state, found.says) == (
        "warning", "differs from what was promoted: network.py, training/loss.py",
    )  # fmt: skip


def test_a_fresh_clone_is_audited_as_far_as_it_goes(workspace: Workspace, tmp_path: Path) -> None:
    git.run(tmp_path, "clone", "--quiet", workspace.root.as_uri(), "fresh")
    fresh = Workspace(tmp_path / "fresh", tmp_path / "fresh")
    links = audit(fresh, RECIPE)
    assert (links.version, broken(links), exit_code(links)) == (VERSION, {}, 6)
    states = {link.name: link.state for link in links}
    assert {states[name] for name in ("git tag", "ledger")} == {"held"}, list(links)
    assert states["model store"] == states["MLflow registry"] == "not checked"


def test_a_provenance_that_names_nothing_of_the_run_is_not_called_held(
    workspace: Workspace,
) -> None:
    """As those of older segtrails are; or as a forger has made it."""
    statement = json.loads(proof(workspace).read_bytes())
    run = provenance.byproducts(statement)[provenance.RUN]
    del run["digest"]
    proof(workspace).write_bytes(provenance.encode(statement))
    lines(workspace, lambda found: forgery.with_proof(found, VERSION, proof(workspace)))
    commit_ledger(workspace)
    git.run(workspace.root, "tag", "--force", "demo/v2", "HEAD")
    (found,) = [x for x in audit(workspace, RECIPE) if x.name == "training run"]
    assert (found.state, "of an older segtrail" in found.says) == ("warning", True)
    (found,) = [x for x in audit(workspace, RECIPE, signed=True) if x.name == "training run"]
    assert found.state == "not checked"


def test_a_history_that_grafts_make_up_is_not_believed(workspace: Workspace) -> None:
    empty = git.run(workspace.root, "commit-tree", "HEAD^{tree}", "-m", "from nowhere")
    git.run(workspace.root, "tag", "--force", "--annotate", "demo/v2", empty, "-m", "moved")
    (workspace.root / ".git/info").mkdir(exist_ok=True)
    grafts = workspace.root / ".git/info/grafts"
    grafts.write_text(f"{empty} {commit_of(workspace)}\n")
    assert "git tag" in broken(audit(workspace, RECIPE))


def test_people_may_rename_a_run_and_tag_as_they_like(workspace: Workspace) -> None:
    run = miniature.mlflow_record.version(workspace, RECIPE, VERSION).run_id
    miniature.mlflow_record.client(workspace).update_run(run, name="the good one")
    git.run(
        workspace.root,
        "tag",
        "demo/vienna",
        git.run(workspace.root, "rev-list", "HEAD").split()[-1],
    )
    assert exit_code(audit(workspace, RECIPE)) == 0


def test_what_a_promotion_is_just_moving_is_not_called_broken(workspace: Workspace) -> None:
    from components.promotion.lock import exclusive

    config.set_champion(workspace.models_config, RECIPE, workspace.models / RECIPE, 2, beside=1)
    assert set(broken(audit(workspace, RECIPE))) == {CONFIG}
    with exclusive(workspace):
        links = audit(workspace, RECIPE)
    assert (broken(links), exit_code(links)) == ({}, 6)
    (found,) = [link for link in links if link.name == CONFIG]
    assert found.says.startswith("a promotion or rollback is under way")


def test_a_clone_without_the_history_is_told_how_to_get_it(
    workspace: Workspace, tmp_path: Path
) -> None:
    git.run(tmp_path, "clone", "--quiet", "--depth=1", workspace.root.as_uri(), "shallow")
    shallow = Workspace(tmp_path / "shallow", workspace.home)
    links = {link.name: link for link in audit(shallow, RECIPE)}
    assert links["git commit"].state == "not checked"
    assert links["git commit"].says.endswith("git fetch --unshallow")


def test_an_empty_store_of_mlflow_stays_empty(workspace: Workspace) -> None:
    path = workspace.root / "mlflow.db"
    path.write_bytes(b"")
    assert "is no store of MLflow's" in broken(audit(workspace, RECIPE))["training run"]
    assert path.read_bytes() == b""


def test_a_registry_that_names_no_files(workspace: Workspace) -> None:
    in_mlflow("UPDATE model_versions SET source = '', storage_location = NULL")(workspace)
    assert broken(audit(workspace, RECIPE))["MLflow model"] == "MLflow names no files of version 2"


def test_code_that_no_stage_has_seen_breaks_its_link(
    template: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Committed after the training, so that commit and provenance hold, and the model is older."""
    workspace = miniature.copy(template, tmp_path / "workspace")
    miniature.put_server_on_path(tmp_path / "bin", monkeypatch)
    miniature.write_text(workspace.root / "training/loss.py", "SMOOTH = 2.0\n")
    git.commit(workspace.root, ["training/loss.py"], "Another loss")
    promote(workspace, RECIPE)
    found = broken(audit(workspace, RECIPE))
    assert set(found) == {"code"}
    assert found["code"].startswith("training at the commit is ")
