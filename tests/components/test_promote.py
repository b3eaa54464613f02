"""Promotion, its crashes and its recovery, in a miniature workspace with a real server."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import agreement
import miniature
import pytest
from miniature import RECIPE

from components.promote import champion, promote, recover, reject
from components.promotion import candidate, changeover, live, record, steps
from lineage import ledger, mlflow_record, provenance
from segtrail import git, saved_model
from segtrail.artifacts import InfraValidation, Model, Verdict
from segtrail.errors import (
    InsufficientEvidenceError,
    LineageError,
    MissingArtifactError,
    RejectedError,
    StageError,
)
from segtrail.files import read_json, write_json, write_text
from segtrail.params import load_recipe
from segtrail.workspace import Workspace
from serving import config, config_text, store
from serving.client import SegmentationClient
from serving.launch import server_command, server_environment


class Crash(BaseException):
    """Like a SIGKILL, nothing in the code catches it."""


def assert_agreement(workspace: Workspace, version: int | None) -> None:
    """Store, configuration, alias, tags and ledger all say that `version` serves."""
    assert agreement.problems(workspace, RECIPE) == []
    assert config.champion(workspace.models_config, RECIPE) == version


def snapshot(workspace: Workspace) -> tuple[str, bytes, str | None, int]:
    path = workspace.models_config
    return (
        git.head(workspace.root),
        workspace.ledger(RECIPE).read_bytes(),
        path.read_text() if path.exists() else None,
        len(list(workspace.mlflow_artifacts.rglob("saved_model.pb"))),
    )


def test_promotion_brings_the_candidate_to_service(workspace: Workspace) -> None:
    digest = candidate.digest_of(workspace, RECIPE)
    promoted_from = git.head(workspace.root)
    done = promote(workspace, RECIPE, by="Grace")
    assert (done.version, done.model_digest, done.changed) == (1, digest, True)
    assert_agreement(workspace, 1)
    folder = workspace.models / RECIPE / "1"
    statement = provenance.load(folder / provenance.IN_MODEL)
    assert provenance.subjects(statement)[provenance.ROOT] == digest
    assert provenance.dependencies(statement)["git"]["digest"]["gitCommit"] == promoted_from
    intent, last = ledger.read(workspace.ledger(RECIPE))
    assert (intent.event, last.event, last.by) == ("intent", "done", "Grace")
    assert "nothing is listening" in last.details["confirmed"]
    assert "pixel for pixel" in last.details["load_test"]
    tagged = git.tag_target(workspace.root, "demo/v1")
    changed = git.run(workspace.root, "show", "--name-only", "--format=", tagged)
    assert changed == "ledger/demo.jsonl"


def test_promoting_what_serves_writes_nothing(workspace: Workspace) -> None:
    promote(workspace, RECIPE)
    before = snapshot(workspace)
    again = promote(workspace, RECIPE)
    assert (again.version, again.changed, again.says) == (1, False, ["v1 already serves"])
    assert snapshot(workspace) == before


def test_the_next_candidate_takes_over(promoted: Workspace) -> None:
    assert promote(promoted, RECIPE).version == 2
    assert_agreement(promoted, 2)


def test_a_model_that_served_before_is_promoted_again_with_its_first_proof(
    promoted: Workspace,
) -> None:
    proof = (promoted.models / RECIPE / "1" / provenance.IN_MODEL).read_bytes()
    promote(promoted, RECIPE)
    miniature.retrain(promoted, threshold=100)  # as v1 was
    assert promote(promoted, RECIPE).version == 1
    assert_agreement(promoted, 1)
    assert (promoted.models / RECIPE / "1" / provenance.IN_MODEL).read_bytes() == proof
    last = ledger.read(promoted.ledger(RECIPE))[-1]
    assert (last.details["previous"], "rollback" in last.details) == (2, False)


@pytest.mark.parametrize(
    ("said", "error"),
    [("fail", RejectedError), ("insufficient evidence", InsufficientEvidenceError)],
)
def test_only_a_pass_is_promoted(workspace: Workspace, said: str, error: type[Exception]) -> None:
    digest = candidate.digest_of(workspace, RECIPE)
    write_json(Verdict.of(workspace, RECIPE).path, miniature.verdict(digest, said))
    with pytest.raises(error, match=said):
        promote(workspace, RECIPE)
    assert champion(workspace, RECIPE) is None
    assert not workspace.ledger(RECIPE).exists()


def test_a_verdict_on_another_model_is_refused(workspace: Workspace) -> None:
    write_json(Verdict.of(workspace, RECIPE).path, miniature.verdict("f" * 64))
    with pytest.raises(StageError, match="gate is about the model ffffffffffff"):
        promote(workspace, RECIPE)


def test_a_failed_or_missing_infra_validation_is_refused(workspace: Workspace) -> None:
    path = InfraValidation.of(workspace, RECIPE).result
    result = read_json(path)
    write_json(path, result | {"passed": False, "says": "no answer"})
    with pytest.raises(StageError, match="no answer"):
        promote(workspace, RECIPE)
    write_json(path, result | {"model_digest": "f" * 64})
    with pytest.raises(StageError, match="infra-validate is about the model"):
        promote(workspace, RECIPE)
    path.unlink()
    with pytest.raises(MissingArtifactError, match="infra-validate"):
        promote(workspace, RECIPE)


def test_a_candidate_that_dvc_lock_does_not_record_is_refused(workspace: Workspace) -> None:
    model = Model.of(workspace, RECIPE).root
    write_text(model / "variables" / "threshold", "99\n")
    digest = saved_model.digest(model)
    for path in (Verdict.of(workspace, RECIPE).path, InfraValidation.of(workspace, RECIPE).result):
        write_json(path, read_json(path) | {"model_digest": digest})
    with pytest.raises(StageError, match=r"dvc\.lock in commit") as refused:
        promote(workspace, RECIPE)
    assert "segtrail retrain --recipe demo --no-promote" in str(refused.value.hint)
    (workspace.root / "dvc.lock").write_text("schema: '2.0'\n")
    with pytest.raises(StageError, match=r"dvc\.lock in commit") as refused:
        promote(workspace, RECIPE)
    assert "git commit" in str(refused.value.hint)


def test_uncommitted_code_is_refused_or_named(workspace: Workspace) -> None:
    write_text(workspace.root / "components" / "new.py", "x = 1\n")
    with pytest.raises(StageError, match=r"components/new\.py"):
        promote(workspace, RECIPE)
    promote(workspace, RECIPE, allow_dirty=True)
    statement = provenance.load(workspace.models / RECIPE / "1" / provenance.IN_MODEL)
    annotations = provenance.dependencies(statement)["git"]["annotations"]
    assert annotations == {"uncommitted": ["components/new.py"]}


def test_a_candidate_that_answers_otherwise_than_evaluated_is_not_served(
    promoted: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    miniature.retrain(promoted, threshold=140, answers_by=60)
    serving = promoted.models_config.read_bytes()
    with pytest.raises(StageError, match=r"v1 serves on"):
        promote(promoted, RECIPE)
    done = capsys.readouterr().out
    assert done.count("ledger: intent to serve v2") == done.count("stored in ") == 1
    assert "load test: " not in done
    assert promoted.models_config.read_bytes() == serving
    assert_agreement(promoted, 1)
    last = ledger.read(promoted.ledger(RECIPE))[-1]
    assert (last.event, last.version) == (ledger.FAILED, 2)
    assert "of the mask's pixels differ" in last.details["why"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"champion": None}, r"reached against no champion; what serves is v1 \("),
        ({"champion": {"version": 1, "model_digest": "f" * 64}}, r"v1 \(ffffffffffff\)"),
        ({"gate": {"absolute": []}}, r"other rules than params\.yaml's"),
        ({"gate": None}, r"other rules than params\.yaml's"),
    ],
)
def test_a_verdict_that_no_longer_holds_is_refused(
    promoted: Workspace, change: dict, says: str
) -> None:
    path = Verdict.of(promoted, RECIPE).path
    write_json(path, read_json(path) | change)
    with pytest.raises(StageError, match=says) as refused:
        promote(promoted, RECIPE)
    assert refused.value.hint == "segtrail gate --recipe demo"
    assert config.champion(promoted.models_config, RECIPE) == 1


def test_a_verdict_against_a_champion_that_serves_no_longer_is_refused(
    promoted: Workspace,
) -> None:
    old = read_json(Verdict.of(promoted, RECIPE).path)
    promote(promoted, RECIPE)
    digest = miniature.retrain(promoted, threshold=140)
    new = read_json(Verdict.of(promoted, RECIPE).path)
    same = {key: new[key] for key in ("model_digest", "evaluation")}
    assert same["model_digest"] == digest
    write_json(Verdict.of(promoted, RECIPE).path, old | same)
    with pytest.raises(StageError, match=r"reached against v1 \(.*what serves is v2 \("):
        promote(promoted, RECIPE)
    write_json(Verdict.of(promoted, RECIPE).path, new)
    assert promote(promoted, RECIPE).version == 3


@contextlib.contextmanager
def live_server(workspace: Workspace, models_config: Path) -> Iterator[str]:
    """Runs a server at the recipe's target."""
    target = load_recipe(workspace, RECIPE).serving.target
    command = server_command(int(target.rpartition(":")[2]), config=models_config)
    process = subprocess.Popen(command, env=server_environment())
    try:
        while not live.is_listening(target):
            assert process.poll() is None
            time.sleep(0.05)
        yield target
    finally:
        process.terminate()
        process.wait()


def test_a_live_server_takes_the_version(workspace: Workspace) -> None:
    with live_server(workspace, workspace.models_config) as target:
        promote(workspace, RECIPE)
        with SegmentationClient(target) as client:
            assert client.served_version(RECIPE) == 1
    done = ledger.read(workspace.ledger(RECIPE))[-1]
    assert done.details["confirmed"] == f"{target} serves v1"


def test_a_live_server_that_does_not_take_it_undoes_the_promotion(
    promoted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "CONFIRM_WITHIN_S", 1.0)
    stuck = tmp_path / "other.config"
    config.set_champion(stuck, RECIPE, promoted.models / RECIPE, 1)
    with (
        live_server(promoted, stuck),
        pytest.raises(StageError, match="v1 serves on"),
    ):
        promote(promoted, RECIPE)
    assert_agreement(promoted, 1)
    assert ledger.read(promoted.ledger(RECIPE))[-1].event == ledger.FAILED


def test_a_model_server_of_others_is_not_waited_for(promoted: Workspace, tmp_path: Path) -> None:
    with live_server(promoted, tmp_path / "other.config"):
        started = time.monotonic()
        promote(promoted, RECIPE)
        assert time.monotonic() - started < live.CONFIRM_WITHIN_S / 2
    assert_agreement(promoted, 2)
    confirmed = ledger.read(promoted.ledger(RECIPE))[-1].details["confirmed"]
    assert "another service listens there" in confirmed
    assert confirmed.endswith("the load test stands")


def test_a_server_of_another_protocol_is_not_waited_for(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "FIRST_WITHIN_S", 0.5)
    port = load_recipe(workspace, RECIPE).serving.target.rpartition(":")[2]
    command = [sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1"]
    process = subprocess.Popen(command, cwd=workspace.root / "data", stderr=subprocess.DEVNULL)
    try:
        while not live.is_listening(f"127.0.0.1:{port}"):
            assert process.poll() is None
            time.sleep(0.05)
        promote(workspace, RECIPE)
    finally:
        process.terminate()
        process.wait()
    assert_agreement(workspace, 1)
    confirmed = ledger.read(workspace.ledger(RECIPE))[-1].details["confirmed"]
    assert "another service listens there" in confirmed


def test_a_server_is_given_time_to_hear_of_the_first_version(workspace: Workspace) -> None:
    """A server that polls the configuration late is still one of ours."""
    seen = workspace.root / ".segtrail" / "polled.config"
    seen.parent.mkdir(exist_ok=True)
    code = "import shutil, sys, time\ntime.sleep(4)\nshutil.copy(*sys.argv[1:])\n"
    plan = steps.Plan(workspace, RECIPE, 1, "d" * 64, None, {"previous": None})
    store.place(Model.of(workspace, RECIPE).root, workspace.models, RECIPE, 1, {})
    changeover.serve(plan)
    with live_server(workspace, seen) as target:
        copier = [sys.executable, "-c", code, str(workspace.models_config), str(seen)]
        process = subprocess.Popen(copier)
        assert changeover.confirm(plan) == f"{target} serves v1"
        assert process.wait() == 0


def promote_and_crash(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Promotes, and crashes when the step with this number has been taken."""
    with monkeypatch.context() as patch:
        patch.setattr(steps, "STEPS", [*steps.STEPS[: number + 1], _crash])
        with pytest.raises(Crash):
            promote(workspace, RECIPE)


NAMES = [step.__name__ for step in steps.STEPS]


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
def test_after_a_crash_everything_agrees(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    promote_and_crash(promoted, monkeypatch, number)
    lines = recover(promoted)
    # Without the version in the store there is nothing to go on with.
    assert_agreement(promoted, 2 if number >= NAMES.index("place") else 1)
    assert bool(lines) == (number < len(NAMES) - 1)
    assert recover(promoted) == []
    promote(promoted, RECIPE)
    assert_agreement(promoted, 2)


def test_a_crash_while_the_store_is_written_leaves_nothing(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(store, "_make_durable", _crash)
        patch.setattr(store.shutil, "rmtree", lambda *args, **kwargs: None)
        with pytest.raises(Crash):
            promote(promoted, RECIPE)
    assert list(promoted.models.glob(".incoming-*"))
    assert "abandoned" in "\n".join(recover(promoted, RECIPE))
    assert_agreement(promoted, 1)


def test_a_crash_of_the_recovery_itself_is_recovered(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote_and_crash(promoted, monkeypatch, NAMES.index("serve"))
    # The stored version is damaged, so that it must be undone although it is configured.
    miniature.flip(promoted.models / RECIPE / "2" / "saved_model.pb")
    for module, name in ((changeover, "restore"), (store, "withdraw"), (record, "commit")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, _crash)
            with pytest.raises(Crash):
                recover(promoted)
    recover(promoted)
    assert_agreement(promoted, 1)


def test_the_first_promotion_can_be_undone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote_and_crash(workspace, monkeypatch, NAMES.index("point_alias"))
    miniature.flip(workspace.models / RECIPE / "1" / "saved_model.pb")
    recover(workspace)
    assert_agreement(workspace, None)
    assert promote(workspace, RECIPE).version == 1
    assert_agreement(workspace, 1)


def test_a_killed_process_is_recovered(promoted: Workspace) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from components import promote\n"
        "from components.promotion import steps\n"
        "from segtrail.workspace import Workspace\n"
        "kill = lambda plan: os.kill(os.getpid(), signal.SIGKILL)\n"
        "steps.STEPS = (*steps.STEPS[:5], kill)\n"
        "promote.promote(Workspace(*[Path(sys.argv[1])] * 2), 'demo')\n"
    )
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", code, str(promoted.root)]
    done = subprocess.run(command, cwd=root, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert ledger.open_intent(ledger.read(promoted.ledger(RECIPE))) is not None
    recover(promoted)
    assert_agreement(promoted, 2)


@pytest.mark.parametrize("content", [None, "model_config_list { config {"])
def test_a_lost_configuration_is_written_anew(promoted: Workspace, content: str | None) -> None:
    path = promoted.models_config
    path.unlink()
    if content:
        path.write_text(content)
    assert recover(promoted)
    assert_agreement(promoted, 1)


def second_recipe(workspace: Workspace) -> Workspace:
    """Adds the recipe `other`, which is served by the same model as the first."""
    folder = store.place(
        workspace.models / RECIPE / "1", workspace.models, "other", 1,
        {provenance.IN_MODEL: (workspace.models / RECIPE / "1" / provenance.IN_MODEL).read_bytes()},
    )  # fmt: skip
    done = ledger.champion(ledger.read(workspace.ledger(RECIPE)))
    assert done is not None
    ledger.append(
        workspace.ledger("other"), ledger.DONE, version=1, model_digest=done.model_digest,
        details=done.details,
    )  # fmt: skip
    git.commit(workspace.root, ["ledger/other.jsonl"], "Other")
    config.set_champion(workspace.models_config, "other", folder.parent, 1)
    return workspace


@pytest.mark.parametrize("content", [None, "model_config_list { config {"])
def test_the_recovery_of_one_recipe_keeps_the_others_in_service(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    path = second_recipe(promoted).models_config
    served = config.read(path)
    path.unlink()
    if content:
        path.write_text(content)
    written = []
    real = config_text.write
    with monkeypatch.context() as patch:
        patch.setattr(
            config_text, "write", lambda *args: (real(*args), written.append(config.read(path)))
        )
        recover(promoted, RECIPE)
    assert written == [served]
    aside = path.with_name("models.config.unreadable")
    assert (aside.read_text() if aside.exists() else None) == content
    assert recover(promoted, RECIPE) == []


def test_what_the_store_lacks_is_left_out_of_a_configuration_written_anew(
    promoted: Workspace,
) -> None:
    second_recipe(promoted).models_config.write_text("nonsense {")
    (promoted.models / "other").rename(promoted.root / "made" / "gone")
    lines = recover(promoted, RECIPE)
    assert set(config.read(promoted.models_config)) == {RECIPE}
    assert any("left out: the store lacks v1 of other" in line for line in lines)


def test_a_configuration_is_not_written_anew_from_an_older_ledger(promoted: Workspace) -> None:
    older = promoted.ledger(RECIPE).read_bytes()
    promote(promoted, RECIPE)
    promoted.ledger(RECIPE).write_bytes(older)
    promoted.models_config.write_text("nonsense {")
    with pytest.raises(LineageError, match="alias champion: names demo v2; the ledger in this"):
        recover(promoted, RECIPE)
    assert promoted.models_config.read_text() == "nonsense {"


def test_a_store_without_the_champion_says_where_to_get_it(promoted: Workspace) -> None:
    """As in a fresh clone, which has the ledger but not the models."""
    promoted.models.rename(promoted.root / "made" / "gone")
    for lost in (False, True):
        if lost:
            promoted.models_config.unlink()
        with pytest.raises(
            LineageError,
            match=r"the store lacks v1 of demo, which ledger/demo\.jsonl names as champion",
        ) as refused:
            promote(promoted, RECIPE)
        assert "copy serving/models" in str(refused.value.hint)
        assert "SEGTRAIL_HOME" in str(refused.value.hint)


def test_what_a_crash_leaves_beside_the_configuration_is_no_change_of_the_code(
    tmp_path: Path,
) -> None:
    git.run(tmp_path, "init", "--quiet")
    shutil.copy(Path(__file__).parents[2] / ".gitignore", tmp_path)
    for name in ("models.config", "models.config.unreadable", ".models.config.x1_y.tmp"):
        write_text(tmp_path / "serving" / name, "")
    assert git.dirty_paths(tmp_path) == [".gitignore"]


def test_a_checkout_without_the_ledger_of_what_serves_changes_nothing(
    promoted: Workspace, tmp_path: Path
) -> None:
    """A worker promoted in its own clone; its branch is not merged here yet."""
    git.run(promoted.root, "rm", "--quiet", "-r", "ledger")
    git.run(promoted.root, "commit", "--quiet", "-m", "As before the worker's promotion")
    serving, head = promoted.models_config.read_bytes(), git.head(promoted.root)
    says = "names demo v1; the ledger in this checkout names no version"
    digest = candidate.digest_of(promoted, RECIPE)
    for attempt in (
        lambda: promote(promoted, RECIPE),
        lambda: recover(promoted, RECIPE),
        lambda: candidate.prepare(promoted, RECIPE, digest, None),
        lambda: reject(promoted, RECIPE, miniature.verdict("d" * 64, "fail")),
    ):
        with pytest.raises(LineageError, match=says) as refused:
            attempt()
        assert "branch segtrail/demo" in refused.value.message
        assert str(refused.value.hint).startswith("git merge segtrail/demo")
    assert promoted.models_config.read_bytes() == serving
    assert git.head(promoted.root) == head
    assert not promoted.ledger(RECIPE).exists()


def test_a_worker_is_told_that_what_serves_was_changed_while_it_worked(
    promoted: Workspace, tmp_path: Path
) -> None:
    shutil.copytree(promoted.root, tmp_path / "clone")
    here = Workspace(tmp_path / "clone", promoted.root)
    config.set_champion(promoted.models_config, RECIPE, promoted.models / RECIPE, 9)
    with pytest.raises(LineageError, match=f"that of {promoted.root} may be newer") as refused:
        promote(here, RECIPE)
    assert refused.value.hint == "run it again: a deployed run begins by merging it"
    assert config.champion(promoted.models_config, RECIPE) == 9


def test_a_configuration_that_the_ledger_does_not_explain_is_left_alone(
    promoted: Workspace,
) -> None:
    config.set_champion(promoted.models_config, RECIPE, promoted.models / RECIPE, 9)
    with pytest.raises(LineageError, match="names demo v9; the ledger in this checkout ends with"):
        recover(promoted)
    assert config.champion(promoted.models_config, RECIPE) == 9


def test_an_edited_ledger_stops_everything(promoted: Workspace) -> None:
    miniature.flip(promoted.ledger(RECIPE), at=40)
    with pytest.raises(LineageError, match="line 1"):
        promote(promoted, RECIPE)
    assert config.champion(promoted.models_config, RECIPE) == 1


def test_a_rejection_is_written_once(promoted: Workspace) -> None:
    verdict = miniature.verdict("d" * 64, "fail")
    entry = reject(promoted, RECIPE, verdict)
    assert entry is not None
    assert (entry.event, entry.version, entry.model_digest) == (ledger.REJECTED, None, "d" * 64)
    assert entry.details["rules"] == verdict["rules"]
    head = git.head(promoted.root)
    assert reject(promoted, RECIPE, verdict) is None
    assert git.head(promoted.root) == head
    other = verdict | {"rules": [verdict["rules"][0] | {"threshold": 0.9}]}
    assert reject(promoted, RECIPE, other) is not None
    assert_agreement(promoted, 1)
    with pytest.raises(ValueError, match="pass"):
        reject(promoted, RECIPE, miniature.verdict("d" * 64))


def test_a_rejection_that_was_not_committed_is(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(git, "commit", _crash)
        with pytest.raises(Crash):
            reject(workspace, RECIPE, miniature.verdict("d" * 64, "fail"))
    assert recover(workspace) == ["demo: ledger committed"]
    assert recover(workspace) == []
    assert git.run(workspace.root, "status", "--porcelain") == ""


def test_a_version_number_of_another_mlflow_is_refused(promoted: Workspace) -> None:
    client = mlflow_record.client(promoted)
    client.delete_registered_model(RECIPE)
    client.create_registered_model(RECIPE)
    digest = candidate.digest_of(promoted, RECIPE)
    with pytest.raises(StageError, match="names as another model"):
        candidate.prepare(promoted, RECIPE, digest, None)
    assert ledger.open_intent(ledger.read(promoted.ledger(RECIPE))) is None


def _crash(*args: object, **kwargs: object) -> None:
    raise Crash


@pytest.mark.slow
def test_the_load_test_asks_a_real_saved_model(
    template: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TensorFlow: the same threshold, as a SavedModel in `serving.embedded`."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent) + ":/usr/bin:/bin")
    workspace = miniature.copy(template, tmp_path / "workspace")
    (model,) = miniature.save_models(tmp_path / "saved", [100]).values()
    digest = miniature.retrain(workspace, threshold=100, saved_model=model)
    assert promote(workspace, RECIPE).model_digest == digest
    assert "stand-in" in ledger.read(workspace.ledger(RECIPE))[-1].details["load_test"]
    assert_agreement(workspace, 1)
