"""A whole workspace in miniature: real git, DVC and MLflow, and a model that needs no TensorFlow.

The model is a threshold in a text file. `tensorflow_model_server`, a script that the fixtures
put on PATH, serves it over gRPC with TF Serving's protocol, flags and configuration file, so
that what is tested talks to a real server in another process.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from components.promote import promote
from lineage import data_version, mlflow_record
from segtrail import git
from segtrail.artifacts import Evaluation, Verdict
from segtrail.files import sha256_bytes, write_bytes, write_json, write_text
from segtrail.images import encode_png
from segtrail.params import dump, load_recipe
from segtrail.saved_model import digest
from segtrail.settings.gate import Gate
from segtrail.split_ledger import COLUMNS
from segtrail.workspace import Workspace
from serving import config
from serving.launch import free_port

RECIPE, DATASET = "demo", "tiny"
STAGES = {
    "examples": (["data/tiny"], ["examples"]),
    "validate": (["artifacts/demo/examples"], ["validation"]),
    "train": (["artifacts/demo/examples", "network.py", "training"], ["model", "training"]),
    "evaluate": (["artifacts/demo/model"], ["evaluation"]),
}
GITIGNORE = "/data\n/artifacts/\n/mlruns/\n/mlflow.db*\n/serving/\n/.segtrail/\n/made/\n/tls/\n"


_templates: dict[str, Workspace] = {}


def template(factory: pytest.TempPathFactory) -> Workspace:
    """Returns a workspace with a candidate, built once a session; not to be changed."""
    if "candidate" not in _templates:
        _templates["candidate"] = build(factory.mktemp("miniature") / "template")
    return _templates["candidate"]


def promoted_template(factory: pytest.TempPathFactory) -> Workspace:
    """Returns a workspace whose v1 serves, with another candidate; not to be changed."""
    if "promoted" not in _templates:
        root = factory.mktemp("promoted")
        workspace = copy(template(factory), root / "template")
        with pytest.MonkeyPatch.context() as monkeypatch:
            put_server_on_path(root / "bin", monkeypatch)
            promote(workspace, RECIPE)
        retrain(workspace, threshold=120)
        _templates["promoted"] = workspace
    return _templates["promoted"]


def build(root: Path) -> Workspace:
    """Makes a workspace whose candidate has passed everything and may be promoted."""
    workspace = Workspace(root, root)
    root.mkdir(parents=True)
    git.run(root, "init", "--quiet", "--initial-branch=main")
    git.run(root, "config", "user.name", "Ada")
    git.run(root, "config", "user.email", "ada@example.org")
    dvc(root, "init", "--quiet")
    write_text(root / ".gitignore", GITIGNORE)
    write_text(root / "params.yaml", yaml.safe_dump(_params()))
    write_text(root / "requirements.lock", "numpy==2.4.0\n")
    write_text(root / "network.py", "FILTERS = 16\n")
    write_text(root / "training" / "loss.py", "SMOOTH = 1.0\n")
    write_text(root / "dvc.yaml", yaml.safe_dump({"stages": _stages()}))
    _deliver(workspace.dataset(DATASET))
    dvc(root, "add", "--quiet", "data")
    git.run(root, "add", "--all")
    git.run(root, "commit", "--quiet", "-m", "Workspace with data")
    client = mlflow_record.client(workspace)
    location = (workspace.mlflow_artifacts / RECIPE).as_uri()
    client.create_experiment(RECIPE, artifact_location=location)
    retrain(workspace, threshold=100)
    return workspace


def copy(template: Workspace, root: Path) -> Workspace:
    """Returns a copy of a workspace; MLflow's absolute paths are those of the copy."""
    shutil.copytree(template.root, root, symlinks=True)
    with sqlite3.connect(root / "mlflow.db") as db:
        old, new = template.mlflow_artifacts.as_uri(), (root / "mlruns").as_uri()
        for table, column in (
            ("experiments", "artifact_location"), ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"), ("model_versions", "source"),
            ("model_versions", "storage_location"),
        ):  # fmt: skip
            db.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (old, new))
    workspace = Workspace(root, root)
    for name, model in config.read(template.models_config).items():
        base = workspace.models / name
        config.set_champion(workspace.models_config, name, base, model.versions[0])
    return workspace


def save_models(folder: Path, thresholds: Sequence[int]) -> dict[int, Path]:
    """Makes real SavedModels, with TensorFlow, in a process of its own; `{threshold: folder}`.

    Each has the file, too, by which the stand-in for TF Serving answers.
    """
    made = {threshold: folder / str(threshold) for threshold in thresholds}
    save = """if True:
        import candidates, sys
        for threshold in sys.argv[2:]:
            candidates.save(sys.argv[1] + "/" + threshold, threshold=int(threshold))
    """
    subprocess.run(
        [sys.executable, "-c", save, str(folder), *map(str, thresholds)],
        cwd=Path(__file__).parent, check=True, capture_output=True,
    )  # fmt: skip
    for threshold, model in made.items():
        write_text(model / "variables" / "threshold", f"{threshold}\n")
    return made


def retrain(
    workspace: Workspace,
    threshold: int,
    answers_by: int | None = None,
    saved_model: Path | None = None,
) -> str:
    """Makes another candidate, through DVC, with its gate and infra results; commits dvc.lock.

    Args:
        workspace: Where.
        threshold: What makes the model another one.
        answers_by: The threshold by which its golden answers are made; by default its own.
        saved_model: A real one, of `save_models`; without it, one for the stand-in alone.
    """
    root, made = workspace.root, workspace.root / "made"
    shutil.rmtree(made, ignore_errors=True)
    if saved_model:
        shutil.copytree(saved_model, made / "model")
    else:
        write_model(made / "model", threshold)
    model_digest = digest(made / "model")
    client = mlflow_record.client(workspace)
    experiment = client.get_experiment_by_name(RECIPE)
    run = client.create_run(experiment.experiment_id, tags={"segtrail.recipe": RECIPE})
    client.log_param(run.info.run_id, "training.steps", 3)
    for step, loss in enumerate((0.9, 0.5, 0.4)):
        client.log_metric(run.info.run_id, "loss", loss, timestamp=1_760_000_000_000, step=step)
    client.log_text(run.info.run_id, "step,loss\n", "history.csv")
    client.set_terminated(run.info.run_id)
    data = data_version.of_folder(workspace.dataset(DATASET))
    write_text(made / "examples" / "manifest.parquet", f"made from {data.dvc_md5}")
    write_json(made / "validation" / "result.json", {"passed": True, "expectations": 3})
    write_json(
        made / "training" / "run.json",
        {
            "mlflow_run_id": run.info.run_id,
            "mlflow_experiment": RECIPE,
            "seed": 1,
            "steps": 3,
            "model_digest": model_digest,
            "data_version": {"dvc_md5": data.dvc_md5, "sha256_root": data.sha256_root},
            "environment": {"python": "3.11", "cores": 2},
            "code_digest": "c" * 64,
            "recipe": dump(load_recipe(workspace, RECIPE)),
        },
    )
    counts = saved_model is None  # that one counts no components
    _evaluate(workspace, made / "evaluation", answers_by or threshold, model_digest, counts)
    dvc(root, "repro", "--quiet", "--force")
    git.commit(root, ["dvc.lock"], f"Train with threshold {threshold}")
    artifacts = workspace.artifacts(RECIPE)
    judged = judge(workspace, model_digest)
    infra = {
        "model_digest": model_digest, "passed": True, "images": 2, "says": "2 images asked",
        "limits": judged["gate"]["limits"], "verdict": "pass", "rules": [],
    }  # fmt: skip
    write_json(artifacts / "infra" / "result.json", infra)
    return model_digest


def judge(workspace: Workspace, model_digest: str) -> dict:
    """Lets the candidate pass against the champion of now; returns the verdict."""
    judged = verdict(model_digest, champion=champion(workspace), workspace=workspace)
    write_json(Verdict.of(workspace, RECIPE).path, judged)
    return judged


def write_model(folder: Path, threshold: int) -> None:
    """Writes the files of a model that calls a pixel foreground above `threshold`."""
    write_text(folder / "saved_model.pb", f"threshold model {threshold}\n")
    write_text(folder / "variables" / "threshold", f"{threshold}\n")


def champion(workspace: Workspace) -> dict | None:
    """Returns what serves, as the gate writes it in its verdict."""
    version = config.champion(workspace.models_config, RECIPE)
    if version is None:
        return None
    return {"version": version, "model_digest": digest(workspace.models / RECIPE / str(version))}


def verdict(
    model_digest: str,
    said: str = "pass",
    champion: dict | None = None,
    workspace: Workspace | None = None,
) -> dict:
    """Returns the gate's JSON; on the evaluation that the workspace has."""
    evaluated = Evaluation.of(workspace, RECIPE).digests if workspace else None
    rule = {
        "rule": "mean_iou >= 0.5", "kind": "absolute", "metric": "mean_iou", "slice": "all",
        "judged": "value", "value": 0.75, "threshold": 0.5, "interval": None, "confidence": 0.95,
        "n": 2, "groups": 2, "p_fail": None, "p_adjusted": None, "verdict": said, "decides": True,
        "says": "0.75 >= 0.5",
    }  # fmt: skip
    return {
        "recipe": RECIPE, "verdict": said, "model_digest": model_digest, "champion": champion,
        "evaluation": evaluated,
        "gate": dump(Gate.model_validate(_params()["recipes"][RECIPE]["gate"])), "rules": [rule],
        "notes": [], "test_split": {"digest": "e" * 64, "images": 2}, "forced": None,
    }  # fmt: skip


def put_server_on_path(folder: Path, monkeypatch) -> None:
    """Makes `tensorflow_model_server` the stand-in that serves threshold models."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "tensorflow_model_server"
    root = Path(__file__).parents[1]
    head = f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(root)!r})\n"
    script.write_text(head + SERVER)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def flip(path: Path, at: int | None = None) -> None:
    """Changes one bit of a file, also of one that is read-only."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if at is None else at] ^= 1
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


def dvc(root: Path, *args: str) -> None:
    """Runs a DVC command."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *args], cwd=root, capture_output=True, text=True, check=False,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def _params() -> dict:
    return {
        "datasets": {
            DATASET: {
                "adapter": "dsb2018",
                "licence": "CC0-1.0",
                "masks": "instances",
                "classes": ["nucleus"],
                "splits": {},
                "slices": {},
            }
        },
        "recipes": {
            RECIPE: {
                "dataset": DATASET,
                "classes": ["nucleus"],
                "preprocessing": {},
                "network": {},
                "training": {"steps": 3},
                "objects": {},
                "validation": {},
                "gate": {"absolute": [{"metric": "mean_iou", "min": 0.5}]},
                "serving": {"target": f"127.0.0.1:{free_port()}", "hold_s": 0.0},
            }
        },
    }


def _stages() -> dict:
    return {
        stage: {
            "foreach": [RECIPE],
            "do": {
                "cmd": "mkdir -p artifacts/${item} && "
                + " && ".join(f"cp -r made/{out} artifacts/${{item}}/{out}" for out in outs),
                "deps": deps,
                "outs": [f"artifacts/${{item}}/{out}" for out in outs],
            },
        }
        for stage, (deps, outs) in STAGES.items()
    }


def _images() -> dict[str, bytes]:
    rng = np.random.default_rng(1)
    return {name: encode_png(rng.integers(0, 256, (12, 16), np.uint8)) for name in ("one", "two")}


def _deliver(folder: Path) -> None:
    rows = [",".join(COLUMNS)]
    for name, png in _images().items():
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "images" / f"{name}.png").write_bytes(png)
        mask = encode_png(np.full((12, 16), ord(name[0]), np.uint8))
        write_bytes(folder / "masks" / f"{name}.png", mask)
        split = {"one": "train", "two": "test"}[name]
        digest = sha256_bytes(png)
        rows.append(f"{name},{digest},{'0' * 64},{digest},1,dark-grey,{name},0,{split},")
    write_text(folder / "splits.csv", "\n".join(rows) + "\n")
    source = hashlib.sha256(b"archive").hexdigest()
    write_text(
        folder / "deliveries.csv",
        "delivery,source,source_sha256,by,licence,added,replaced,removed\n"
        f"1,cells.zip,{source},Ada,CC0-1.0,2,0,0\n",
    )


def _evaluate(
    workspace: Workspace, folder: Path, threshold: int, model_digest: str, counts: bool
) -> None:
    from segtrail.images import decode_image

    metrics = {"n": 2, "mean_iou": 0.75, "mean_dice": 0.8, "ap_50": 0.6, "count_error": 0.5}
    write_json(
        folder / "metrics.json",
        {"model_digest": model_digest, "test_images": 2, "slices": {"all": metrics}},
    )
    write_text(folder / "per_image.parquet", "rows\n")
    answers = {}
    for name, png in _images().items():
        mask = encode_png((decode_image(png, name) > threshold).astype(np.uint8))
        (folder / "golden").mkdir(parents=True, exist_ok=True)
        (folder / "golden" / f"{name}.png").write_bytes(png)
        (folder / "golden" / f"{name}.mask.png").write_bytes(mask)
        answers[name] = {"mask_sha256": sha256_bytes(mask)}
        if counts:
            answers[name]["count"] = cv2.connectedComponents(decode_image(mask, name))[0] - 1
    write_text(folder / "golden" / "golden.json", json.dumps(answers))


SERVER = textwrap.dedent(
    """
    import argparse, signal, threading
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path
    import cv2
    import grpc
    import numpy as np
    from segtrail.images import decode_image, encode_png
    from serving import config, protocol
    from serving.protocol import tensors

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--model_config_file", type=Path)
    parser.add_argument("--model_base_path", type=Path)
    args, _ = parser.parse_known_args()

    def models(name):
        if args.model_base_path:
            return {1: args.model_base_path / "1"}, {}
        model = config.read(args.model_config_file).get(name)
        if model is None:
            return {}, {}
        return {v: model.base_path / str(v) for v in model.versions}, model.labels

    def serves(spec):
        versions, labels = models(spec.name)
        version = spec.version.value or max(versions, default=0)
        if spec.version_label:
            version = labels.get(spec.version_label)
        return (version, versions[version]) if version in versions else (None, None)

    N, TEXT, INT, FLOAT = -1, "DT_STRING", "DT_INT64", "DT_FLOAT"
    PLANES = {"probabilities": (FLOAT, [N, N, N, 1])}
    SIGNATURES = {  # of the model's contract, though only what is needed here is answered
        "serving_default": (
            {"image_bytes": (TEXT, [N])},
            {"mask_png": (TEXT, [N]), "probability_png": (TEXT, [N, 1]), "height": (INT, [N]),
             "width": (INT, [N]), "labels_png": (TEXT, [N]), "count": (INT, [N])},
        ),
        "raw": ({"images": ("DT_UINT8", [N, N, N, N])}, PLANES),
        "raw16": ({"images": ("DT_UINT16", [N, N, N, N])}, PLANES),
        "metadata": (
            {},
            {"class_names": (TEXT, [1]), "masks": (TEXT, []), "recipe": (TEXT, []),
             "data_version": (TEXT, []), "threshold": (FLOAT, []), "border_threshold": (FLOAT, [])},
        ),
    }
    signatures = protocol.SignatureDefMap()
    for name, (inputs, outputs) in SIGNATURES.items():
        definition = signatures.signature_def[name]
        for tensors_of, given in ((definition.inputs, inputs), (definition.outputs, outputs)):
            for tensor, (dtype, sizes) in given.items():
                tensors_of[tensor].dtype = protocol.DataType.Value(dtype)
                tensors_of[tensor].tensor_shape.SetInParent()
                for size in sizes:
                    tensors_of[tensor].tensor_shape.dim.add(size=size)

    def refuse(context, spec):
        context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request: " + spec.name)

    def predict(request, context):
        version, folder = serves(request.model_spec)
        if version is None:
            refuse(context, request.model_spec)
        threshold = int((folder / "variables" / "threshold").read_text())
        images = tensors.to_array(request.inputs["image_bytes"])
        masks = [(decode_image(i, "image") > threshold).astype(np.uint8) for i in images]
        answer = protocol.PredictResponse()
        answer.model_spec.name = request.model_spec.name
        answer.model_spec.version.value = version
        answer.outputs["mask_png"].CopyFrom(tensors.strings([encode_png(m) for m in masks]))
        counts = [cv2.connectedComponents(m)[0] - 1 for m in masks]
        answer.outputs["count"].CopyFrom(tensors.to_proto(np.array(counts)))
        return answer

    def metadata(request, context):
        version, _ = serves(request.model_spec)
        if version is None:
            refuse(context, request.model_spec)
        answer = protocol.GetModelMetadataResponse()
        answer.model_spec.version.value = version
        answer.metadata["signature_def"].Pack(signatures)
        return answer

    def status(request, context):
        versions, _ = models(request.model_spec.name)
        if not versions:
            refuse(context, request.model_spec)
        answer = protocol.GetModelStatusResponse()
        for version, folder in versions.items():
            answer.model_version_status.add(version=version, state=30 if folder.exists() else 10)
        return answer

    METHODS = {
        protocol.PREDICT: (predict, protocol.PredictRequest),
        protocol.GET_MODEL_METADATA: (metadata, protocol.GetModelMetadataRequest),
        protocol.GET_MODEL_STATUS: (status, protocol.GetModelStatusRequest),
    }

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            method, request = METHODS[details.method]
            return grpc.unary_unary_rpc_method_handler(
                method,
                request_deserializer=request.FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()])
    server.add_insecure_port(f"127.0.0.1:{args.port}")
    server.start()
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    over.wait()
    server.stop(0)
    """
)
