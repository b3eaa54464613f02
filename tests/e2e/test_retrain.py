"""The whole pipeline, with nothing put in place of its parts, on a small recipe.

The tests of this module run in order: each goes on from what the one before it left.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from lineage import ledger
from segtrail.files import read_json
from segtrail.saved_model import digest
from serving import config

RECIPE = "tiny"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def ran(said: str) -> set[str]:
    """Returns the stages and steps that ran, by the lines that the flow prints."""
    return set(re.findall(r"^ *([a-z-]+) : (?:ran|restored|done|rejected)", said, re.MULTILINE))


def snapshot(root: Path) -> dict[str, str]:
    """Returns the digests of all files but the caches of tools."""
    skipped = (".prefect", "__pycache__", ".dvc/tmp", ".segtrail", ".git/index")
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and not any(part in (name := path.relative_to(root).as_posix()) for part in skipped)
    }


def champion(clone) -> int | None:
    return config.champion(clone.root / "serving" / "models.config", RECIPE)


def entries(clone) -> list[str]:
    return [entry.event for entry in ledger.read(clone.root / "ledger" / f"{RECIPE}.jsonl")]


def assert_agreement(clone, version: int) -> None:
    """Store, config, alias, tag and ledger say the same."""
    from components import registry
    from segtrail.workspace import Workspace

    assert champion(clone) == version
    stored = clone.root / "serving" / "models" / RECIPE / str(version)
    assert digest(stored) == digest(clone.root / "artifacts" / RECIPE / "model")
    assert registry.champion(Workspace.at(clone.root), RECIPE) == version
    assert f"{RECIPE}/v{version}" in clone.git("tag").splitlines()
    path = clone.root / "ledger" / f"{RECIPE}.jsonl"
    assert ledger.verify(path) == []
    assert ledger.read(path)[-1].event == "done"
    assert clone.git("status", "--porcelain") == ""


def test_one_command_makes_a_served_gated_traceable_model(clone):
    assert_agreement(clone, 1)
    artifacts = clone.root / "artifacts" / RECIPE
    assert (artifacts / "validation" / "data_docs" / "index.html").is_file()
    metrics = read_json(artifacts / "evaluation" / "metrics.json")
    overlays = list((artifacts / "evaluation" / "overlays").glob("*.png"))
    assert len(overlays) == metrics["test_images"] > 0
    assert read_json(artifacts / "infra" / "result.json")["passed"]
    links = json.loads(clone.run("audit", RECIPE, "--json"))["links"]
    assert {link["state"] for link in links} <= {"held", "warning"}, links
    assert "dvc.lock" in clone.git("ls-files")


def test_the_promoted_version_comes_out_again_byte_for_byte(clone):
    before = snapshot(clone.root)
    said = clone.run("audit", RECIPE, "--reproduce")
    assert re.search(r"reproduction  held +identical weights, .*: every file of the model", said)
    assert re.search(r"mean_iou of all +([0-9.]+) +\1 +\+0 ", said)
    assert "train : ran" in said
    assert snapshot(clone.root) == before
    run = read_json(clone.root / "artifacts" / RECIPE / "training" / "run.json")
    assert run["resumed"] is False
    assert {"cpu_flags", "usable_cores"} <= run["environment"].keys()


def test_a_server_follows_the_config_and_answers_with_counts(clone, tmp_path):
    from serving.launch import running_server

    image = next((clone.root / "data" / "cells" / "images").glob("*.png"))
    models = clone.root / "serving" / "models.config"
    with running_server(RECIPE, config=models, log=tmp_path / "log") as server:
        out = tmp_path / "out"
        where = ("--recipe", RECIPE, "--target", server.target)
        said = clone.run("predict", str(image), *where, "--out", str(out))
        clone.run("audit", RECIPE, "--target", server.target)
    assert "v1" in said
    assert {p.name for p in out.iterdir()} == {
        f"{image.stem}.mask.png",
        f"{image.stem}.overlay.png",
    }


def test_what_production_saw_asks_for_a_retraining_once(clone, tmp_path):
    """Images and answers as in training: nothing; blurred: severe drift; then a cool-down."""
    import cv2

    seen, blurred = clone.root / "data/cells/images", tmp_path / "blurred"
    blurred.mkdir()
    for path in seen.glob("*.png"):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(blurred / path.name), cv2.GaussianBlur(image, (0, 0), 6) // 2)

    def monitor(images: Path) -> dict:
        said = clone.run("monitor", "--recipe", RECIPE, "--images", str(images), "--json")
        return json.loads(said[said.index("{\n") : said.rindex("}") + 1])

    usual, first, second = (monitor(images) for images in (seen, blurred, blurred))
    assert (usual["severity"], usual["retrain"]) == ("none", False)
    assert (first["severity"], first["retrain"]) == ("severe", True)
    assert (second["severity"], second["retrain"]) == ("severe", False)
    assert "the data is what it was" in second["decision"]
    report = json.loads((clone.root / f".segtrail/monitor/{RECIPE}/drift/drift.json").read_text())
    assert report["answers"]["all"]["statistics"].keys() == {
        "predicted_foreground",
        "predicted_objects",
    }
    assert clone.git("status", "--porcelain") == ""


def test_again_recomputes_nothing_and_writes_nothing(clone):
    before = snapshot(clone.root)
    said = clone.retrain()
    assert "v1 already serves" in said
    assert ran(said) == set()
    assert snapshot(clone.root) == before


def test_the_report_is_beside_the_verdict_and_in_mlflow(clone):
    report = clone.root / "artifacts" / RECIPE / "gate" / "report.html"
    assert report.stat().st_size > 50_000
    (kept,) = (clone.root / "mlruns").rglob("report/report.html")
    assert kept.read_bytes() == report.read_bytes()


def test_a_training_parameter_reruns_from_train_and_a_worse_model_is_refused(clone):
    clone.change_params("gate", absolute=[{"metric": "mean_iou", "min": 0.999}])
    clone.change_params("training", steps=30)
    said = clone.retrain(code=3)
    assert {"train", "evaluate", "gate"} <= ran(said)
    assert not {"examples", "validate", "transform", "infra-validate", "promote"} & ran(said)
    assert champion(clone) == 1
    assert entries(clone)[-1] == "rejected"
    assert "Traceback" not in said


def test_a_gate_threshold_reruns_the_gate_alone(clone):
    clone.change_params("gate", absolute=[{"metric": "mean_iou", "min": 0.2}])
    said = clone.retrain()
    assert ran(said) == {"gate", "infra-validate", "promote"}
    assert_agreement(clone, 2)
    clone.run("audit", RECIPE)


def test_a_stricter_gate_judges_the_champion_anew_but_leaves_it_serving(clone):
    clone.change_params("gate", absolute=[{"metric": "mean_iou", "min": 0.99}])
    said = clone.retrain(code=3)
    assert ran(said) == {"gate"}
    assert champion(clone) == 2
    clone.change_params("gate", absolute=[{"metric": "mean_iou", "min": 0.2}])
    assert "v2 already serves" in clone.retrain()


def test_a_line_of_model_reruns_from_train_and_the_same_model_already_serves(clone):
    with open(clone.root / "model" / "losses.py", "a", encoding="utf-8") as f:
        f.write("# a line more\n")
    clone.git("commit", "-qam", "A line of model/")
    said = clone.retrain()
    assert "train" in ran(said)
    assert not {"examples", "validate", "transform"} & ran(said)
    assert "v2 already serves" in said


def test_more_images_rerun_everything_and_leave_the_splits_of_the_old_ones(clone, deliveries):
    splits = clone.root / "data" / "cells" / "splits.csv"
    before = set(splits.read_text().splitlines())
    clone.run("ingest", str(deliveries[1]), "--dataset", "cells")
    assert before < set(splits.read_text().splitlines())
    said = clone.retrain()
    assert {"examples", "validate", "transform", "train", "evaluate", "gate"} <= ran(said)
    assert_agreement(clone, 3)


def test_a_person_may_let_a_refused_model_pass_and_the_audit_says_so(clone):
    each = {"metric": "mean_iou", "slice": "each", "min": 0.999}
    clone.change_params("training", steps=20)
    clone.change_params("gate", absolute=[each], relative=[{"metric": "mean_iou"}])
    said = clone.retrain(code=3)
    assert "against the champion on the same" in said
    assert champion(clone) == 3
    clone.run("gate", "--recipe", RECIPE, "--force", "--by", "Grace", "--reason", "a drill")
    assert entries(clone)[-1] == "forced"
    said = clone.retrain()
    assert ran(said) == {"gate", "infra-validate", "promote"}
    assert "FORCED by Grace (claimed)" in said
    assert_agreement(clone, 4)
    assert "FORCED by Grace (claimed)" in clone.run("audit", RECIPE)
    assert "fail, FORCED" in clone.run("status")


def test_failed_validation_stops_before_the_transform_and_keeps_the_data_docs(clone):
    clone.change_params("validation", min_images=5000)
    said = clone.retrain(code=1)
    assert "at least 5000 images" in said
    assert "transform" not in ran(said)
    assert "Traceback" not in said
    docs = clone.root / "artifacts" / RECIPE / "validation" / "data_docs" / "index.html"
    assert docs.is_file()
    assert champion(clone) == 4
