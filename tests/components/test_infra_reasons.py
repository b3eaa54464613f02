"""Why infra validation fails: SavedModels broken in one way each, through the embedded server."""

from __future__ import annotations

import shutil
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("tensorflow_serving")

import candidates

from cli import main
from components.evaluate import evaluate
from components.infra_validate import infra_validate
from components.infra_validation.failure import DoesNotServeError
from lineage import golden
from model.examples import Example
from segtrail.artifacts import Evaluation, Examples, InfraValidation, Model
from segtrail.errors import RejectedError
from segtrail.files import read_json, write_json, write_text
from segtrail.images import encode_png
from segtrail.workspace import Workspace

pytestmark = pytest.mark.slow
RECIPE = "demo"
IMAGE = np.random.default_rng(1).integers(0, 256, (12, 16), np.uint8)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with an evaluated candidate that serves; not to be changed."""
    import tensorflow as tf

    root = tmp_path_factory.mktemp("template")
    workspace = Workspace(root, root)
    rules = {"absolute": [{"metric": "mean_iou", "min": 0.5}]}
    dataset = {"adapter": "dsb2018", "masks": "instances", "classes": ["nucleus"]}
    recipe = {
        "dataset": "tiny", "classes": ["nucleus"], "preprocessing": {}, "network": {},
        "training": {"steps": 1}, "objects": {}, "validation": {}, "gate": rules,
        "serving": {},
    }  # fmt: skip
    params = {
        "datasets": {"tiny": dataset | {"slices": {}, "splits": {}}}, "recipes": {RECIPE: recipe}
    }  # fmt: skip
    write_text(workspace.params, yaml.safe_dump(params))
    write_text(root / "dvc.yaml", "stages: {}\n")
    examples = Examples.of(workspace, RECIPE)
    write_text(examples.manifest, "not read")
    with tf.io.TFRecordWriter(str(examples.records("test"))) as writer:
        for number in range(2):
            image = np.roll(IMAGE, number, 1)
            mask = encode_png((image > 100).astype(np.uint8))
            name = f"i{number}"
            writer.write(Example(name, encode_png(image), mask, "x", name).serialize())
    candidates.save(Model.of(workspace, RECIPE).root)
    evaluate(workspace, RECIPE)
    return root


@pytest.fixture
def workspace(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A copy of it, where no TF Serving is on PATH."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    root = tmp_path / "workspace"
    shutil.copytree(template, root)
    return Workspace(root, root)


def limit(workspace: Workspace, **limits: float) -> None:
    params = yaml.safe_load(workspace.params.read_text())
    params["recipes"][RECIPE]["gate"]["limits"] = limits
    write_text(workspace.params, yaml.safe_dump(params))


def put(workspace: Workspace, kind: str, threshold: int = 100, warm_up: bool = False) -> Path:
    """Puts another candidate in the place of the evaluated one."""
    folder = Model.of(workspace, RECIPE).root
    shutil.rmtree(folder)
    candidates.save(folder, kind, threshold)
    if warm_up:
        candidates.write_warm_up(folder, encode_png(IMAGE))
    return folder


def refused(workspace: Workspace) -> dict:
    """Returns the failure that is raised, written, and told by `segtrail status`."""
    with pytest.raises(DoesNotServeError) as e:
        infra_validate(workspace, RECIPE)
    result = read_json(InfraValidation.of(workspace, RECIPE).result)
    (failure,) = result["failures"]
    assert (result["passed"], result["reason"]) == (False, failure["reason"])
    assert result["says"] == failure["says"]
    assert e.value.message.startswith(f"the candidate does not serve: {failure['reason']}: ")
    assert e.value.hint == failure["hint"]
    return failure


def test_a_sound_candidate_serves_and_all_of_it_is_told(workspace, monkeypatch, capsys) -> None:
    limit(workspace, size_mb=1, memory_mb=16_000)
    put(workspace, "good", warm_up=True)
    result = infra_validate(workspace, RECIPE)
    assert (result["passed"], result["reason"], result["failures"]) == (True, None, [])
    for difference in result["golden"]:
        assert (difference["mask"], difference["probability"]) == (0, 0)
        assert difference["count"] == difference["expected_count"] == 1
    assert 50 < result["memory_mb"] < 16_000
    assert [rule["verdict"] for rule in result["rules"]] == ["pass", "pass"]
    said = capsys.readouterr().out
    assert "2 golden images answered as evaluated, pixel for pixel" in said
    assert f"the server had up to {result['memory_mb']:.0f} MB resident" in said


def test_what_evaluation_writes_is_what_is_compared(workspace) -> None:
    folder = Evaluation.of(workspace, RECIPE).golden
    for number, read in enumerate(golden.read(folder)):
        assert (read.name, read.classes, len(read.probabilities)) == (f"i{number}", ("nucleus",), 1)
        assert f"{golden.FOLDER}/i{number}.probability.1.png" in golden.files(folder)


def test_goldens_of_an_earlier_segtrail_are_compared_as_far_as_they_go(workspace) -> None:
    folder = Evaluation.of(workspace, RECIPE).golden
    for path in folder.glob("*.probability.*"):
        path.unlink()
    index = read_json(folder / "golden.json")
    write_json(folder / "golden.json", {name: {"count": 1} for name in index})
    put(workspace, "bumped")  # masks and counts are the same
    assert {d["probability"] for d in infra_validate(workspace, RECIPE)["golden"]} == {None}


@pytest.mark.parametrize("damage", ["shard", "graph"])
def test_what_cannot_be_loaded_is_told_in_the_servers_words(workspace, damage) -> None:
    model = Model.of(workspace, RECIPE).root
    if damage == "shard":
        (shard,) = model.glob("variables/variables.data-*")
        shard.unlink()
    else:
        (model / "saved_model.pb").write_bytes(b"not a graph")
    failure = refused(workspace)
    assert failure["reason"] == "load-error"
    words = {"shard": "variables.data-00000-of-00001", "graph": "Cannot parse file"}[damage]
    assert words in failure["details"]["server_said"]
    assert any(words in line for line in failure["details"]["log"])
    assert words in failure["says"]
    assert "dvc checkout" in failure["hint"]


@pytest.mark.parametrize("warm_up", [True, False])
def test_a_tracked_keras_model_misses_its_variables(workspace, warm_up) -> None:
    """While the server loads it, if there is a warm-up request; else when it is asked."""
    put(workspace, "tracked", warm_up=warm_up)
    failure = refused(workspace)
    assert failure["reason"] == "missing-variable"
    assert "kernel" in failure["details"]["variable"]
    assert repr(failure["details"]["variable"]) in failure["says"]
    assert ("warm-up" in failure["says"]) == warm_up
    assert "model/export.py" in failure["hint"]


def test_each_deviation_from_the_contract_is_told(workspace) -> None:
    put(workspace, "wrong types")
    failure = refused(workspace)
    assert failure["reason"] == "signature-mismatch"
    found = {d["where"]: (d["expected"], d["found"]) for d in failure["details"]["deviations"]}
    assert found == {
        "serving_default.outputs.count": ("int64 [?]", "int32 [?]"),
        "serving_default.outputs.labels_png": ("string [?]", "nothing of this name"),
        "raw16": ("a signature of this name", "metadata, raw, serving_default"),
    }
    for where, (expected, was) in found.items():
        assert f"{where}: expected {expected}; found {was}" in failure["says"]


def test_a_deviation_that_keeps_the_warm_up_from_being_answered_is_told_as_such(workspace) -> None:
    put(workspace, "other input", warm_up=True)
    failure = refused(workspace)
    assert failure["reason"] == "signature-mismatch"
    assert [d["where"] for d in failure["details"]["deviations"]] == [
        "serving_default.inputs.image_bytes", "serving_default.inputs.images",
    ]  # fmt: skip


@pytest.mark.parametrize("warm_up", [True, False])
def test_an_image_that_is_refused_is_told_with_the_servers_words(workspace, warm_up) -> None:
    put(workspace, "refuses", warm_up=warm_up)
    failure = refused(workspace)
    assert failure["reason"] == "request-error"
    assert "assertion failed" in failure["details"]["server_said"]
    assert failure["details"]["request"] == ("warm-up" if warm_up else "of infra validation")


def test_other_weights_are_told_by_the_worst_image(workspace) -> None:
    put(workspace, "good", threshold=160)
    failure = refused(workspace)
    assert failure["reason"] == "golden-difference"
    worst = failure["details"]["worst"]
    assert worst["mask"] == pytest.approx(np.mean((IMAGE > 100) & (IMAGE <= 160)))
    assert worst["probability"] == 60
    assert {image["image"] for image in failure["details"]["images"]} == {"i0", "i1"}
    assert "2 of 2 images differ" in failure["says"]


def test_a_probability_that_leaves_the_mask_alone_is_told_with_its_place(workspace) -> None:
    put(workspace, "bumped")
    failure = refused(workspace)
    assert failure["reason"] == "golden-difference"
    row, column, most = candidates.BUMP
    worst = failure["details"]["worst"]
    assert (worst["mask"], worst["count"]) == (0, worst["expected_count"])
    assert (worst["row"], worst["column"], worst["class_name"]) == (row, column, "nucleus")
    assert 8 < worst["probability"] <= most
    assert f"{worst['probability']}/255 at row {row}, column {column}" in failure["says"]


def test_limits_that_are_not_kept_have_reasons_too_and_the_command_says_them(
    workspace, monkeypatch, capsys
) -> None:
    limit(workspace, size_mb=1e-6, latency_ms=1e-6, memory_mb=1)
    monkeypatch.chdir(workspace.root)
    monkeypatch.setenv("SEGTRAIL_HOME", str(workspace.root))
    assert main._run(["infra-validate", "--recipe", RECIPE]) == RejectedError.exit_code
    said = capsys.readouterr().err
    result = read_json(InfraValidation.of(workspace, RECIPE).result)
    assert (result["passed"], result["verdict"], result["reason"]) == (True, "fail", "size")
    assert {f["reason"]: f["details"]["limit"] for f in result["failures"]} == {
        "size": 1e-6, "latency": 1e-6, "memory": 1
    }  # fmt: skip
    for failure in result["failures"]:
        assert failure["says"] in said
    assert main._run(["status"]) == 0
    assert "serves, limits: fail (size, latency, memory)" in capsys.readouterr().out


def test_a_server_that_is_killed_is_not_taken_for_a_model_that_does_not_load(
    workspace, tmp_path, monkeypatch, capsys
) -> None:
    script = tmp_path / "bin" / "tensorflow_model_server"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho 'out of memory' >&2\nkill -KILL $$\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(script.parent), prepend=":")
    failure = refused(workspace)
    assert failure["reason"] == "server-ended"
    assert failure["details"]["exit_code"] == -9
    assert failure["details"]["log"] == ["out of memory"]
    assert "SIGKILL" in failure["says"]
    monkeypatch.chdir(workspace.root)
    assert main._run(["status"]) == 0
    assert "DOES NOT SERVE: server-ended" in capsys.readouterr().out
