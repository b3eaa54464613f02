"""What re-runs when what changes: the real dvc.yaml, asked of the real DVC."""

import ast
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from flows import stages
from flows.step_fault import BusyError

ROOT = Path(__file__).resolve().parents[2]
ALL = ["examples", "validate", "transform", "train", "evaluate"]
# Reading configuration, writing files and talking: not what a result is computed from.
PLUMBING = {
    f"segtrail/{name}.py"
    for name in (
        "__init__", "artifacts", "errors", "expectations", "faults", "files", "git", "git_objects",
        "params", "params_errors", "progress", "quiet", "recipe", "secrets", "telemetry", "words",
        "settings/operations", "workspace",
    )
}  # fmt: skip
# What training remembers, not what it learns: no reason to train again.
REMEMBERING = {
    "lineage/data_version.py", "lineage/dataset_source.py", "lineage/dvc_files.py",
    "lineage/mlflow_facts.py", "lineage/mlflow_record.py", "lineage/mlflow_sqlite.py",
    "segtrail/code.py", "segtrail/tombstones.py",
}  # fmt: skip


def first_changed(small) -> str | None:
    """Returns the first stage that DVC would run, having checked that the order is right."""
    plan = stages.plan(small.root, "demo")
    assert plan.stages == ALL
    return next((name for name in plan.stages if name in plan.changed), None)


@pytest.mark.parametrize("stage", ALL)
def test_the_smallest_recipe_of_the_docs_has_whatever_a_stage_names(stage):
    """DVC refuses a parameter that params.yaml does not name, though the schema has a default."""
    page = (ROOT / "docs/params.md").read_text()
    given = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    definition = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["do"]
    for path in definition["params"]:
        found = given
        for key in path.replace("${key}", "mine").replace("${item.dataset}", "mine").split("."):
            assert key in found, path
            found = found[key]


def test_nothing_changed(ran):
    assert stages.plan(ran.root, "demo").changed == {}


def test_the_order_is_the_graph_s(template):
    assert stages.plan(template.root, "nuclei").stages == ALL


def test_a_command_that_holds_what_a_stage_made_is_waited_for(ran):
    """So does one that was killed, until the system has removed its process."""
    held = ran.root / ".dvc/tmp/rwlock"
    by = {"pid": os.getpid(), "cmd": "dvc repro"}
    lock = json.dumps({"write": {str(ran.root / "artifacts/demo/examples"): by}, "read": {}})
    held.write_text(lock)
    with pytest.raises(BusyError, match="examples' is busy"):
        stages.ask(ran.root, "demo", lambda line: None, busy_s=0)
    lines: list[str] = []

    def note(line: str) -> None:
        lines.append(line)
        held.unlink()

    assert stages.ask(ran.root, "demo", note).changed == {}
    assert lines == ["another DVC command runs in this workspace; waiting for it"]


@pytest.mark.parametrize(
    ("param", "value", "first"),
    [
        ("recipes.demo.gate.absolute.0.min", 0.123, None),
        ("recipes.demo.gate.relative.0.margin", 0.456, None),
        ("recipes.demo.serving.target", "127.0.0.1:9999", None),
        ("platform", {"ports": {"mlflow": 5001}}, None),
        ("recipes.demo.serving.tls", {"ca": "tls/ca.crt"}, None),
        ("recipes.nuclei.network.base_filters", 32, None),
        ("recipes.demo.training.steps", 17, "train"),
        ("recipes.demo.network.base_filters", 4, "train"),
        ("recipes.demo.objects.min_size", 9, "train"),
        ("recipes.demo.preprocessing.stride", 64, "transform"),
        ("recipes.demo.validation.min_images", 21, "validate"),
        ("datasets.synthetic.slices.dark-grey", "dim", "examples"),
    ],
)
def test_a_parameter_re_runs_from_its_stage(done, param, value, first):
    done.set_param(param, value, commit=False)
    assert first_changed(done) == first


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("model/networks/unet.py", "train"),
        ("model/preprocessing.py", "transform"),
        ("segtrail/images.py", "examples"),
        ("model/targets.py", "transform"),
        ("components/train.py", "train"),
        ("model/scores/objects.py", "evaluate"),
        ("model/summary.py", "evaluate"),
        ("model/hardware/diagnosis.py", None),
        ("components/gate.py", None),
        ("components/promote.py", None),
        ("flows/retrain.py", None),
        ("cli/status.py", None),
        ("serving/client.py", None),
        ("requirements.lock", "examples"),
    ],
)
def test_a_line_of_code_re_runs_what_uses_it(done, path, first):
    done.edit(path, lambda text: text + "\n# another line\n", commit=False)
    assert first_changed(done) == first


def test_bytecode_is_no_change(done):
    for folder in ("model", "components"):
        cache = done.root / folder / "__pycache__"
        cache.mkdir(exist_ok=True)
        (cache / "x.cpython-311.pyc").write_bytes(b"x")
    assert first_changed(done) is None


def test_new_data_re_runs_everything(done):
    done.deliver("image,split\na,train\nb,test\n")
    assert first_changed(done) == "examples"
    done.dvc("repro", *(f"{stage}@demo" for stage in ALL))
    assert first_changed(done) is None


def test_data_changed_by_hand_is_refused(done):
    from segtrail.errors import WorkspaceError

    splits = done.root / "data/synthetic/splits.csv"
    splits.unlink()
    splits.write_text("image,split\na,test\n")
    with pytest.raises(WorkspaceError, match="modified since it was delivered"):
        stages.plan(done.root, "demo")


def test_missing_data_names_the_way_back(done):
    import shutil

    from segtrail.errors import WorkspaceError

    shutil.rmtree(done.root / "data")
    with pytest.raises(WorkspaceError, match=r"dvc checkout data\.dvc"):
        stages.plan(done.root, "demo")
    done.dvc("checkout", "data.dvc")
    assert first_changed(done) is None


def test_before_the_first_delivery_it_says_to_ingest(done):
    import shutil

    from segtrail.errors import WorkspaceError

    shutil.rmtree(done.root / "data")
    (done.root / "data.dvc").write_text(
        "outs:\n- md5: d751713988987e9331980363e24189ce.dir\n"
        "  size: 0\n  nfiles: 0\n  hash: md5\n  path: data\n"
    )
    with pytest.raises(WorkspaceError, match="nothing was ingested yet") as caught:
        stages.plan(done.root, "demo")
    assert caught.value.hint == "segtrail ingest SOURCE --dataset NAME"


def test_an_unknown_recipe_is_refused(template):
    from segtrail.errors import ConfigError

    with pytest.raises(ConfigError, match="no stage for the recipe 'dmeo'"):
        stages.plan(template.root, "dmeo")


@pytest.mark.parametrize("stage", ALL)
def test_every_module_that_a_stage_computes_with_is_a_dependency(stage):
    """Follows the imports of the stage's component through this repository."""
    definition = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["do"]
    declared = [dep for dep in definition["deps"] if "${" not in dep]
    used = {path.relative_to(ROOT).as_posix() for path in imported(component(stage))}
    missing = {
        path
        for path in used - PLUMBING - REMEMBERING
        if not any(path == dep or path.startswith(f"{dep}/") for dep in declared)
        and not path.endswith("/__init__.py")
    }
    assert not missing
    code = {dep for dep in declared if dep.endswith(".py")}
    assert code <= used, f"declared but not used: {code - used}"


def component(stage: str) -> Path:
    return ROOT / "components" / f"{stage}.py"


def imported(path: Path, seen: set[Path] | None = None) -> set[Path]:
    seen = set() if seen is None else seen
    seen.add(path)
    if path == ROOT / "segtrail/recipe.py":  # names the sections of all stages
        return seen
    for name in names_in(path):
        found = module(name)
        if found and found not in seen:
            imported(found, seen)
    return seen


def names_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((p for p in candidates if p.exists()), None)
