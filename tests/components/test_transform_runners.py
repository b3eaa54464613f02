"""The transform stage on Beam's runners: real processes on this machine, the same output."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from remote_servers import server

from components.transform import transform
from model.examples import Example
from model.preprocessing import level_histogram
from segtrail.artifacts import Examples, TransformGraph, ValidationResult
from segtrail.errors import StageError
from segtrail.files import tree_digests, write_json, write_text
from segtrail.images import encode_png
from segtrail.workspace import Workspace
from serving.launch import free_port

ROOT = Path(__file__).resolve().parents[2]
IMAGES = {"train": 14, "validation": 3}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Workspace:
    """Validated examples of three slices, and what the stage makes of them in this process."""
    import tensorflow as tf

    root = tmp_path_factory.mktemp("runners")
    workspace = Workspace(root, root)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["recipes"] = {"demo": params["recipes"]["demo"]}
    params["recipes"]["demo"]["preprocessing"] = {"tile": 64, "stride": [48, 32]}
    params["recipes"]["demo"]["training"]["crop"] = 64
    write_text(workspace.params, yaml.safe_dump(params))
    examples, rows = Examples.of(workspace, "demo"), []
    examples.root.mkdir(parents=True)
    generator = np.random.default_rng(1)
    for split, count in IMAGES.items():
        with tf.io.TFRecordWriter(str(examples.records(split))) as writer:
            for number in range(count):
                shape = (60 + 7 * number, 130 - 5 * number)
                image = generator.integers(0, 256, shape).astype(np.uint8)
                mask = (generator.integers(0, 9, shape) // 8).astype(np.uint16)
                # not in the order of the alphabet, nor slice by slice
                name, part = f"{split}-{(number * 5) % count}", "abc"[number % 3]
                png = encode_png(image), encode_png(mask)
                writer.write(Example(name, *png, part, name).serialize())
                size = {"height": shape[0], "width": shape[1]}
                rows.append({"image": name, "split": split, "slice": part} | size)
    pd.DataFrame(rows).to_parquet(examples.manifest)
    write_json(ValidationResult.of(workspace, "demo").result, {"passed": True})
    transform(workspace, "demo")
    return workspace


@pytest.fixture
def fresh(source, tmp_path) -> Workspace:
    """A copy of the workspace, whose stage has not run."""
    root = tmp_path / "workspace"
    shutil.copytree(source.root, root)
    workspace = Workspace(root, root)
    shutil.rmtree(TransformGraph.of(workspace, "demo").root)
    return workspace


def require_same(made: TransformGraph, source: Workspace) -> None:
    """Compares tiles byte for byte, and the graphs by what they give."""
    import tensorflow as tf
    import tensorflow_transform as tft

    from model.preprocessing import normalise

    expected = TransformGraph.of(source, "demo")
    assert tree_digests(made.root / "tiles") == tree_digests(expected.root / "tiles")
    assert made.statistics.read_text() == expected.statistics.read_text()
    assert not (made.root / "staging").exists()
    pixels = np.random.default_rng(2).integers(0, 90, (40, 30, 1)).astype(np.uint8)
    pixels[:, 15:] = 3
    both = [
        normalise(
            tft.TFTransformOutput(str(graph.graph)).transform_features_layer(),
            tf.constant(pixels),
            tf.constant(level_histogram(pixels)),
        ).numpy()
        for graph in (made, expected)
    ]
    np.testing.assert_array_equal(*both)


def beam_server(*arguments: str, port: int, log: Path):
    """Runs a module of Beam as a server on loopback; its workers are this Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": path}
    return server([sys.executable, "-m", *arguments], port, log, environment=environment)


def test_a_staging_folder_apart_from_the_workspace(fresh, source, tmp_path):
    staging = tmp_path / "shared"
    staging.mkdir()
    made = transform(fresh, "demo", staging_folder=str(staging))
    require_same(made, source)
    assert list(staging.iterdir()) == []


@pytest.mark.slow
def test_several_processes_on_this_machine(fresh, source):
    options = ["direct_running_mode=multi_processing", "direct_num_workers=2"]
    require_same(transform(fresh, "demo", "FnApiRunner", options), source)


@pytest.mark.slow
def test_a_job_server_and_workers_in_other_processes(fresh, source, tmp_path):
    jobs, workers = free_port(), free_port()
    with (
        beam_server(
            "apache_beam.runners.portability.local_job_service_main", f"--port={jobs}",
            port=jobs, log=tmp_path / "jobs.log",
        ),
        beam_server(
            "apache_beam.runners.worker.worker_pool_main", f"--service_port={workers}",
            port=workers, log=tmp_path / "workers.log",
        ),
    ):  # fmt: skip
        options = [
            f"job_endpoint=127.0.0.1:{jobs}",
            "environment_type=EXTERNAL",
            f"environment_config=127.0.0.1:{workers}",
        ]
        require_same(transform(fresh, "demo", "PortableRunner", options), source)


@pytest.mark.slow
def test_a_job_server_that_calls_back_into_this_process(fresh, source, tmp_path):
    jobs = free_port()
    main = "apache_beam.runners.portability.local_job_service_main"
    with beam_server(main, f"--port={jobs}", port=jobs, log=tmp_path / "jobs.log"):
        options = [f"job_endpoint=127.0.0.1:{jobs}", "environment_type=LOOPBACK"]
        require_same(transform(fresh, "demo", "PortableRunner", options), source)


def test_a_damaged_image_is_told_by_its_name_and_nothing_is_left(fresh):
    import tensorflow as tf

    examples = Examples.of(fresh, "demo")
    records = [r.numpy() for r in tf.data.TFRecordDataset(str(examples.records("train")))]
    broken = Example.parse(records[3])
    records[3] = Example(broken.image, b"no image", broken.mask_bytes, "a", "g").serialize()
    with tf.io.TFRecordWriter(str(examples.records("train"))) as writer:
        for record in records:
            writer.write(record)
    with pytest.raises(StageError) as caught:
        transform(fresh, "demo")
    assert f"{broken.image}: not an image" in caught.value.message
    left = sorted(path.name for path in examples.root.parent.iterdir())
    assert left == ["examples", "validation"]
