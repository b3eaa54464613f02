"""A version is made once more from its commit, by the real DVC, with quick components."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from flows import throwaway
from lineage import data_version, ledger, provenance
from lineage.evidence import Evidence
from lineage.link import Link, NotChecked, look
from lineage.reproduction import compare
from segtrail import git
from segtrail.artifacts import Evaluation, Model, TrainingRun, ValidationResult
from segtrail.files import read_json, sha256_bytes, sha256_file, write_json, write_text
from segtrail.params import dump, load_recipe
from segtrail.saved_model import digest, file_digests
from segtrail.tombstones import COLUMNS
from segtrail.workspace import Workspace
from serving import config, store

RECIPE = "demo"
VARIABLES = "variables/variables.data-00000-of-00001"
COMPONENTS = {
    "examples": """
        import os
        from components._common import *
        def make_examples(workspace, name):
            begin(workspace, "examples")
            if where := os.environ.get("HANG_AT"):
                Path(where).write_text(str(os.getpid()))
                time.sleep(120)
            out = workspace.artifacts(name) / "examples"
            out.mkdir(parents=True)
            text = (workspace.dataset("synthetic") / "splits.csv").read_text()
            (out / "manifest.parquet").write_text(text)
    """,
    "train": """
        import hashlib
        from components._common import *
        from segtrail.files import write_text
        from segtrail.params import load_recipe
        def train(workspace, name, resume=True):
            begin(workspace, "train")
            artifacts = workspace.artifacts(name)
            steps = load_recipe(workspace, name).training.steps
            learnt = f"{steps} {(artifacts / 'examples/manifest.parquet').read_text()}"
            weights = hashlib.sha256(learnt.encode()).hexdigest()
            write_text(artifacts / "model/saved_model.pb", "graph")
            write_text(artifacts / "model/variables/variables.data-00000-of-00001", weights)
            environment = {"processor": "P", "cpu_flags": ["avx", "fma"], "platform": "here"}
            run = {"environment": environment, "seed": 1, "steps": steps, "resumed": False}
            write_json(artifacts / "training/run.json", run)
    """,
    "evaluate": """
        from components._common import *
        def evaluate(workspace, name):
            begin(workspace, "evaluate")
            of = {"n": 9, "mean_iou": 0.8, "ap_50": 0.7, "count_error": 3.0}
            ends = {"mean_iou": [0.7, 0.9], "ap_50": None, "count_error": [1.0, 5.0]}
            metrics = {"slices": {"all": of}, "intervals": {"all": ends}}
            out = workspace.artifacts(name) / "evaluation"
            write_json(out / "metrics.json", metrics)
            write_json(out / "per_image.parquet", [])
    """,
}


@pytest.fixture(scope="session")
def served(template, tmp_path_factory: pytest.TempPathFactory):
    """A workspace whose v1 was trained and promoted; not to be changed."""
    root = tmp_path_factory.mktemp("served") / "ws"
    shutil.copytree(template.root, root, symlinks=True)
    small = type(template)(root)
    for name, text in COMPONENTS.items():
        (root / "components" / f"{name}.py").write_text(textwrap.dedent(text))
    small.git("commit", "--quiet", "-am", "Quick components")
    small.dvc("repro", "evaluate@demo", "validate@demo")
    small.git("add", "dvc.lock")
    small.git("commit", "--quiet", "-m", "Run demo")
    promote(small, 1)
    (root / "calls.log").unlink()
    return small


@pytest.fixture
def mine(served, tmp_path: Path):
    """A copy of `served` that the test may change."""
    root = tmp_path / "ws"
    shutil.copytree(served.root, root, symlinks=True)
    small = type(served)(root)
    small.git("status")  # git notes the copies' times
    return small


@pytest.fixture(scope="session")
def again(served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which v1 was made once more, kept; not to be changed."""
    root = tmp_path_factory.mktemp("again") / "ws"
    shutil.copytree(served.root, root, symlinks=True)
    folder = root.parent / "kept"
    link, said = reproduce(type(served)(root), "--keep", str(folder))
    assert link.state == "held", (link.says, said)
    return folder


@pytest.fixture
def remade(again: Path, tmp_path: Path) -> Workspace:
    """A copy of what was made once more, that the test may change."""
    shutil.copytree(again / "artifacts", tmp_path / "again" / "artifacts")
    shutil.copy(again / "dvc.lock", tmp_path / "again" / "dvc.lock")
    return Workspace(tmp_path / "again", tmp_path / "again")


def promote(small, version: int) -> None:
    """Writes what a promotion leaves in store, configuration and ledger, and commits."""
    workspace = Workspace(small.root, small.root)
    commit, model = git.head(small.root), Model.of(workspace, RECIPE).root
    recipe, evaluation = load_recipe(workspace, RECIPE), Evaluation.of(workspace, RECIPE)
    data = data_version.at_commit(small.root, commit, recipe.dataset)
    metrics = evaluation.metrics.relative_to(small.root).as_posix()
    facts = provenance.Facts(
        recipe=RECIPE, params=dump(recipe), model_files=file_digests(model), commit=commit,
        repository=None, uncommitted=[], lock_sha256=None, data=data, deliveries=[],
        splits_sha256="0" * 64, requirements_sha256=None,
        run=read_json(TrainingRun.of(workspace, RECIPE).run), started=None, finished=None,
        results={"evaluation": {metrics: sha256_file(evaluation.metrics)}},
        validation=read_json(ValidationResult.of(workspace, RECIPE).result),
    )  # fmt: skip
    content = provenance.encode(provenance.build(facts))
    store.place(model, workspace.models, RECIPE, version, {provenance.IN_MODEL: content})
    config.set_champion(workspace.models_config, RECIPE, workspace.models / RECIPE, version)
    ledger.append(
        workspace.ledger(RECIPE), ledger.DONE, version=version, model_digest=digest(model),
        by="Ada", details={"git_commit": commit, "provenance_sha256": sha256_bytes(content)},
    )  # fmt: skip
    small.git("add", "ledger")
    small.git("commit", "--quiet", "-m", f"Promote v{version}")


def reproduce(small, *options: str, **more: str) -> tuple[Link, str]:
    """Runs the audit; returns its last link, and what it said on standard error."""
    done = small.segtrail("audit", RECIPE, "--quick", "--reproduce", "--json", *options, **more)
    *_, last = json.loads(done.stdout)["links"]
    return Link(**last), done.stderr


def everything(root: Path) -> dict[str, str]:
    """Returns the digests of all files, of git and DVC too, but DVC's notes for itself."""
    return {
        str(path.relative_to(root)): sha256_file(path)
        for path in sorted(root.rglob("*"))
        if path.is_file() and not {"__pycache__", "tmp"} & set(path.relative_to(root).parts)
    }


def evidence(small, version: int = 1) -> Evidence:
    workspace = Workspace(small.root, small.root)
    return Evidence(workspace, RECIPE, version)


def judged(served, remade: Workspace, packages: tuple[str, ...] = ()) -> Link:
    return look("reproduction", lambda: compare(evidence(served), remade, packages))


def change(path: Path, **values: object) -> None:
    write_json(path, read_json(path) | values)


def move_weights(remade: Workspace) -> None:
    write_text(Model.of(remade, RECIPE).root / VARIABLES, "others")


def test_code_data_and_settings_of_the_commit_give_its_weights_and_the_workspace_stays(
    mine, tmp_path
):
    """HEAD and the working tree have others since."""
    mine.deliver("image,split\nb,train\n")
    mine.set_param("recipes.demo.training.steps", 7)
    mine.edit("components/train.py", lambda text: "raise SystemExit(9)\n" + text)
    mine.edit("components/evaluate.py", lambda text: "raise SystemExit(9)\n" + text, commit=False)
    mine.git("status")
    before, temporary = everything(mine.root), tmp_path / "tmp"
    temporary.mkdir()
    link, said = reproduce(mine, TMPDIR=str(temporary))
    assert link.name == "reproduction"
    assert link.state == "held", link.says
    assert link.says.startswith("identical weights")
    assert "mean_iou of all    0.8000      0.8000          +0  0.7000 to 0.9000" in link.says
    assert "train | train speaks" in said
    assert "evaluate : ran" in said
    assert everything(mine.root) == before
    assert mine.calls() == []
    assert list(temporary.iterdir()) == []


def test_what_is_kept_is_the_commit_with_its_results(served, again: Path):
    assert git.head(again) == evidence(served).commit
    made = Model.of(Workspace(again, again), RECIPE).root
    assert file_digests(made) == evidence(served).stored_files
    assert (again / "calls.log").read_text().split() == [
        "examples", "validate", "transform", "train", "evaluate",
    ]  # fmt: skip


def test_weights_that_were_forged_throughout_do_not_come_out(mine):
    """Model, dvc.lock, provenance and ledger agree with each other, and are committed."""
    write_text(mine.root / "artifacts/demo/model" / VARIABLES, "forged")
    mine.dvc("commit", "--force", "train@demo")
    mine.git("commit", "--quiet", "-am", "Forge")
    promote(mine, 2)
    link, _ = reproduce(mine)
    assert link.state == "broken"
    assert f"other weights, made again at {evidence(mine, 2).commit[:12]}" in link.says
    assert VARIABLES in link.says
    assert "what it was trained on is the same" in link.says
    assert "nothing explains it" in link.says


@pytest.mark.parametrize("with_keep", [False, True])
def test_a_signal_ends_all_of_it(mine, tmp_path, patiently, with_keep):
    temporary, pid = tmp_path / "tmp", tmp_path / "pid"
    temporary.mkdir()
    before = everything(mine.root)
    command = [sys.executable, "-m", "cli", "audit", RECIPE, "--quick", "--reproduce"]
    command += ["--keep", str(tmp_path / "kept")] if with_keep else []
    env = {**mine.env, "TMPDIR": str(temporary), "HANG_AT": str(pid)}
    audit = subprocess.Popen(command, cwd=mine.root, env=env, stderr=subprocess.DEVNULL)
    patiently(lambda: pid.exists() and pid.read_text() != "", 120)
    audit.send_signal(signal.SIGINT if with_keep else signal.SIGTERM)
    assert audit.wait(60) == (130 if with_keep else 143)
    patiently(lambda: not Path(f"/proc/{pid.read_text()}").exists(), 30)
    assert list(temporary.iterdir()) == []
    assert (tmp_path / "kept").exists() == with_keep
    assert everything(mine.root) == before


def test_an_audit_without_it_imports_nothing_that_runs(mine):
    ask = """if True:
        import sys
        from cli.main import main
        try:
            main(["audit", "demo", "--quick", "--json"])
        except SystemExit:
            heavy = ("flows", "prefect", "tensorflow")
            print([name for name in heavy if name in sys.modules], file=sys.stderr)
    """
    said = mine.do(sys.executable, "-c", ask)
    assert said.stderr.splitlines()[-1] == "[]"
    assert "reproduction" not in said.stdout


def test_a_stage_that_fails_is_not_held_against_the_version(mine):
    """It says nothing about the model, and is told in the stage's own words."""
    mine.edit("components/examples.py", lambda text: text.replace(
        'begin(workspace, "examples")', 'raise DataError("the images are upside down")'
    ))  # fmt: skip
    promote(mine, 2)
    link, _ = reproduce(mine)
    assert link.state == "not checked"
    assert link.says == "it cannot be made again here: the images are upside down"


def test_keep_names_a_folder_of_its_own(mine, tmp_path):
    for folder, says in (
        (mine.root / "kept", "lies in the workspace"),
        (mine.root.parent, "empty"),
    ):
        done = mine.segtrail("audit", RECIPE, "--reproduce", "--keep", str(folder))
        assert done.returncode == 2
        assert says in " ".join(done.stderr.replace("│", " ").split())
    assert "--keep FOLDER is of --reproduce" in " ".join(
        mine.segtrail("audit", RECIPE, "--keep", str(tmp_path / "x")).stderr.split()
    )


def test_equal_weights_hold_even_where_they_need_not(served, remade):
    link = judged(served, remade, ("tensorflow is 2.0 (locked ==2.21.0)",))
    assert link.state == "held"
    assert "identical weights" in link.says
    assert "even though not as in requirements.lock: tensorflow is 2.0" in link.says


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"processor": "Q"}, "processor is Q, was P"),
        ({"cpu_flags": ["avx", "avx512f"]}, "cpu_flags: now without fma, with avx512f"),
    ],
)
def test_on_another_machine_metrics_may_move_within_their_intervals(
    served, remade, environment, reason
):
    run = TrainingRun.of(remade, RECIPE).run
    change(run, environment=read_json(run)["environment"] | environment)
    move_weights(remade)
    metrics = Evaluation.of(remade, RECIPE).metrics
    change(metrics, slices={"all": {"mean_iou": 0.71, "ap_50": 0.7, "count_error": 3.0}})
    link = judged(served, remade)
    assert link.state == "held", link.says
    assert reason in link.says
    assert "each metric is in its recorded 95 % interval" in link.says
    assert "-0.09" in link.says
    change(metrics, slices={"all": {"mean_iou": 0.69, "ap_50": 0.7, "count_error": 3.0}})
    link = judged(served, remade)
    assert link.state == "broken"
    assert "outside of the recorded 95 % interval: mean_iou of all" in link.says
    assert reason in link.says


def test_other_packages_and_a_metric_without_an_interval_leave_it_open(served, remade):
    """The demo's gate asks about AP, too."""
    move_weights(remade)
    change(
        Evaluation.of(remade, RECIPE).metrics,
        slices={"all": {"mean_iou": 0.8, "ap_50": 0.6, "count_error": 3.0}},
    )
    link = judged(served, remade, ("keras is not installed (locked ==3.15.0)",))
    assert link.state == "not checked"
    assert "no interval is recorded of ap_50 of all" in link.says
    assert "keras is not installed" in link.says


@pytest.mark.parametrize(
    ("environment", "uncommitted", "reason"),
    [
        (None, [], "it was not recorded what the training ran on"),
        (None, ["model/losses.py"], "what ran then was not all committed: model/losses.py"),
        ({"gpus": ["/physical_device:GPU:0"]}, [], "not recorded which GPU"),
    ],
)
def test_a_record_that_leaves_something_out_leaves_room(
    served, remade, environment, uncommitted, reason
):
    e = evidence(served)
    e.statement = copy.deepcopy(e.statement)
    internal = e.statement["predicate"]["buildDefinition"]["internalParameters"]
    internal["environment"] = environment
    if environment:
        change(TrainingRun.of(remade, RECIPE).run, environment=environment)
    e.dependency("git")["annotations"]["uncommitted"] = uncommitted
    move_weights(remade)
    link = look("reproduction", lambda: compare(e, remade, ()))
    assert link.state == "held"
    assert reason in link.says


def test_a_kernel_excuses_nothing(served, remade):
    run = TrainingRun.of(remade, RECIPE).run
    change(run, environment=read_json(run)["environment"] | {"platform": "another kernel"})
    move_weights(remade)
    assert judged(served, remade).state == "broken"


def test_the_first_output_that_differs_is_named(served, remade):
    move_weights(remade)
    lock = remade.root / "dvc.lock"
    recorded = evidence(served).lock.output("transform", "artifacts/demo/transform")
    assert recorded
    lock.write_text(lock.read_text().replace(recorded, "0" * 32 + ".dir"))
    assert "artifacts/demo/transform differs already" in judged(served, remade).says


def test_invented_metrics_of_true_weights_are_found(served, remade):
    change(
        Evaluation.of(remade, RECIPE).metrics,
        slices={"all": {"mean_iou": 0.75, "ap_50": 0.7, "count_error": 3.0}},
    )
    link = judged(served, remade)
    assert link.state == "broken"
    assert "the evaluation of these very weights has other metrics" in link.says


def test_another_graph_around_true_weights_is_broken_unless_training_was_resumed(
    served, mine, remade
):
    write_text(Model.of(remade, RECIPE).root / "saved_model.pb", "another graph")
    link = judged(served, remade)
    assert link.state == "broken"
    assert "identical weights" in link.says
    assert "saved_model.pb" in link.says
    change(TrainingRun.of(Workspace(mine.root, mine.root), RECIPE).run, resumed=True)
    mine.dvc("commit", "--force", "train@demo")
    mine.git("commit", "--quiet", "-am", "A training that was resumed")
    promote(mine, 2)
    link = look("reproduction", lambda: compare(evidence(mine, 2), remade, ()))
    assert link.state == "warning"
    assert "was resumed after a break" in link.says


def lose(small, md5: str) -> Path:
    path = small.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    path.chmod(0o644)
    path.unlink()
    return path


def test_data_that_the_cache_lost_comes_from_the_remote_and_stays_lost_here(mine, tmp_path):
    mine.dvc("remote", "add", "--default", "--local", "store", str(tmp_path / "store"))
    mine.dvc("push", "--quiet", "data.dvc")
    e = evidence(mine)
    md5 = e.tree["splits.csv"]
    listing = data_version.data_md5_at(e.root, e.commit)
    lost, said = [lose(mine, md5), lose(mine, listing)], list[str]()
    with throwaway.clone(e.root, e.commit, "test") as folder:
        throwaway.bring_data(Evidence(e.workspace, RECIPE, 1), folder, said.append)
        content = (folder / "data/synthetic/splits.csv").read_bytes()
    assert content == (mine.root / "data/synthetic/splits.csv").read_bytes()
    assert "data/synthetic: 1 of its files not in DVC's cache; asking the remote" in said
    assert not any(path.exists() for path in lost)


def test_data_that_is_nowhere_cannot_be_trained_on_again(mine):
    lose(mine, evidence(mine).tree["splits.csv"])
    with (
        throwaway.clone(mine.root, evidence(mine).commit, "test") as folder,
        pytest.raises(
            NotChecked, match="data/synthetic: 1 of its files not in DVC's cache, and they cannot"
        ),
    ):
        throwaway.bring_data(evidence(mine), folder, print)


def test_erased_images_cannot_be_trained_on_again(mine):
    e = evidence(mine)
    md5 = e.tree["splits.csv"]  # stands for an image
    row = ["a", "0" * 64, "0" * 64, md5, "", "2", "consent withdrawn", "Ada"]
    write_text(
        mine.root / "data/synthetic/tombstones.csv", f"{','.join(COLUMNS)}\n{','.join(row)}\n"
    )
    mine.deliver("image,split\n")
    lose(mine, md5)
    with (
        throwaway.clone(e.root, e.commit, "test") as folder,
        pytest.raises(NotChecked, match=r"1 of the files .* erased since .*consent withdrawn"),
    ):
        throwaway.bring_data(evidence(mine), folder, print)


def test_a_commit_on_no_branch_is_checked_out_without_anybody_s_hooks(mine, tmp_path, monkeypatch):
    hook = tmp_path / "hooks" / "post-checkout"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    (tmp_path / "config").write_text(f"[core]\n\thooksPath = {hook.parent}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    commit = mine.git("commit-tree", "HEAD^{tree}", "-m", "On no branch")
    with throwaway.clone(mine.root, commit, "test") as folder:
        assert git.head(folder) == commit
        assert (folder / "dvc.yaml").exists()
        assert not (tmp_path / "ran").exists()
    assert not folder.exists()


def test_nothing_leads_out_of_the_clone(tmp_path, monkeypatch):
    for name in ("SEGTRAIL_HOME", "MLFLOW_TRACKING_URI", "GIT_DIR", "SEGTRAIL_KEY"):
        monkeypatch.setenv(name, "/elsewhere")
    env = throwaway.environment(tmp_path)
    assert "/elsewhere" not in env.values()
    assert env["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path)
    assert env["TMPDIR"].startswith(str(tmp_path))
