"""The provenance statement: valid, complete, and the same for the same facts."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import miniature
import pytest
from miniature import DATASET, RECIPE

from lineage import data_version, gather, provenance
from segtrail import git, saved_model
from segtrail.artifacts import Evaluation, Model, TrainingRun
from segtrail.errors import LineageError, MissingArtifactError
from segtrail.files import read_json, sha256_file, write_json, write_text
from segtrail.params import dump, load_recipe
from segtrail.workspace import Workspace


@pytest.fixture(scope="module")
def facts(template: Workspace) -> provenance.Facts:
    return gather.gather(template, RECIPE)


@pytest.fixture(scope="module")
def statement(facts: provenance.Facts) -> dict:
    return provenance.build(facts)


def test_the_same_facts_give_the_same_bytes(
    template: Workspace, workspace: Workspace, statement: dict
) -> None:
    content = provenance.encode(statement)
    assert provenance.encode(provenance.build(gather.gather(template, RECIPE))) == content
    # Nor do they depend on where the workspace lies.
    assert provenance.encode(provenance.build(gather.gather(workspace, RECIPE))) == content


def test_the_subject_is_every_file_and_the_whole(template: Workspace, statement: dict) -> None:
    model = Model.of(template, RECIPE).root
    expected = saved_model.file_digests(model) | {provenance.ROOT: saved_model.digest(model)}
    assert provenance.subjects(statement) == expected


def test_what_it_was_made_from_is_named(template: Workspace, statement: dict) -> None:
    named = provenance.dependencies(statement)
    root = template.root
    data = data_version.of_folder(template.dataset(DATASET))
    assert named["git"]["digest"] == {"gitCommit": git.head(root)}
    assert named["git"]["annotations"] == {"uncommitted": []}
    assert named["dvc.lock"]["digest"]["sha256"] == sha256_file(root / "dvc.lock")
    assert named["requirements.lock"]["digest"]["sha256"] == sha256_file(root / "requirements.lock")
    assert named["data/tiny"]["digest"] == {"sha256": data.sha256_root}
    assert named["data/tiny"]["annotations"]["dvc_md5"] == data.dvc_md5
    splits = template.dataset(DATASET) / "splits.csv"
    assert named["splits.csv"]["digest"]["sha256"] == sha256_file(splits)
    assert named["delivery/1"]["annotations"]["licence"] == "CC0-1.0"
    assert named["code"]["digest"] == {"sha256": "c" * 64}
    build = statement["predicate"]["buildDefinition"]
    recipe = dump(load_recipe(template, RECIPE))
    assert build["externalParameters"] == {"recipe": RECIPE, "params": recipe}
    assert build["internalParameters"]["environment"] == {"python": "3.11", "cores": 2}


def test_what_was_made_along_is_named(template: Workspace, statement: dict) -> None:
    named = provenance.byproducts(statement)
    metrics = Evaluation.of(template, RECIPE).metrics
    run = read_json(TrainingRun.of(template, RECIPE).run)
    assert named["evaluation/metrics.json"]["digest"]["sha256"] == sha256_file(metrics)
    assert named["validation/result.json"]["annotations"]["passed"] is True
    assert named["verdict/verdict.json"]["annotations"]["verdict"]["rules"][0]["value"] == 0.75
    assert named["infra/result.json"]["annotations"]["result"]["says"] == "2 images asked"
    assert named["mlflow-run"]["uri"] == f"mlflow:runs/{run['mlflow_run_id']}"
    assert {"golden/golden.json", "golden/one.png", "golden/one.mask.png"} < set(named)
    metadata = statement["predicate"]["runDetails"]["metadata"]
    assert metadata["invocationId"] == run["mlflow_run_id"]
    assert metadata["startedOn"] <= metadata["finishedOn"]


def test_it_is_written_and_read_back(tmp_path: Path, statement: dict) -> None:
    path = tmp_path / "provenance.json"
    provenance.write(path, statement)
    assert provenance.load(path) == statement
    with pytest.raises(LineageError, match="not there"):
        provenance.load(tmp_path / "nothing.json")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"_type": 1}'])
def test_what_is_not_a_statement_is_refused(content: bytes) -> None:
    with pytest.raises(LineageError, match="provenance"):
        provenance.parse(content)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("_type",), "https://in-toto.io/Statement/v0.1"),
        (("subject",), []),
        (("subject",), [{"name": "saved_model.pb"}]),
        (("predicateType",), "https://example.org/other"),
        (("predicate", "unknown"), 1),
        (("predicate", "buildDefinition", "resolvedDependencies"), {}),
        (("predicate", "runDetails", "metadata", "startedOn"), "yesterday"),
    ],
)
def test_an_invalid_field_is_refused(statement: dict, path: tuple, value: object) -> None:
    changed = copy.deepcopy(statement)
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(LineageError, match="provenance"):
        provenance.parse(provenance.encode(changed))


def test_what_is_not_known_is_left_out(facts: provenance.Facts) -> None:
    sparse = replace(facts, repository=None, lock_sha256=None, requirements_sha256=None,
                     started=None, finished=None)  # fmt: skip
    named = provenance.dependencies(provenance.build(sparse))
    assert "dvc.lock" not in named
    assert "uri" not in named["git"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ada:secret@example.org/x.git", "https://example.org/x.git"),
        ("https://example.org:8443/x.git", "https://example.org:8443/x.git"),
        ("ssh://git@example.org/x.git", "ssh://example.org/x.git"),
        ("/home/ada/x", None),
        ("git@example.org:org/x.git", "ssh://example.org/org/x.git"),
        ("example.org:/srv/x.git", "ssh://example.org/srv/x.git"),
        ("ada:secret@example.org:x.git", None),
        ("C:/ada/x", None),
        ("./ada:x", None),
    ],
)
def test_the_repository_is_named_without_secrets(
    tmp_path: Path, url: str, shown: str | None
) -> None:
    git.run(tmp_path, "init", "--quiet")
    assert gather.repository(tmp_path) is None
    git.run(tmp_path, "remote", "add", "origin", url)
    assert gather.repository(tmp_path) == shown


def test_a_model_trained_on_other_data_has_no_provenance(workspace: Workspace) -> None:
    path = workspace.dataset(DATASET) / "splits.csv"
    path.chmod(0o644)
    write_text(path, path.read_text().replace("dark-grey", "bright-grey"))
    miniature.dvc(workspace.root, "add", "--quiet", "data")
    git.commit(workspace.root, ["data.dvc"], "change")
    with pytest.raises(LineageError, match=r"was trained on data/tiny with dvc_md5"):
        gather.gather(workspace, RECIPE)


def test_a_model_trained_by_another_recipe_has_no_provenance(workspace: Workspace) -> None:
    """Also when nobody edited params.yaml: a default of the schema may have changed."""
    path = TrainingRun.of(workspace, RECIPE).run
    run = read_json(path)
    changes = [
        ("network", "depth", "network.depth = 9; the recipe now says "),
        ("training", "seed", "training.seed = 9; the recipe now says "),
        ("objects", "min_size", "objects.min_size = 9; the recipe now says "),
        ("preprocessing", "tile", "preprocessing.tile = 9; the recipe now says "),
        ("preprocessing", "no_more", "preprocessing.no_more = 9; the recipe now says None"),
    ]
    for section, key, says in changes:
        trained = run["recipe"] | {section: run["recipe"][section] | {key: 9}}
        write_json(path, run | {"recipe": trained})
        with pytest.raises(LineageError, match=says) as refused:
            gather.gather(workspace, RECIPE)
        assert refused.value.hint == "segtrail retrain --recipe demo"
    write_json(path, run | {"recipe": run["recipe"] | {"classes": ["cell"]}})
    with pytest.raises(LineageError, match=r"classes = \['cell'\]"):
        gather.gather(workspace, RECIPE)
    write_json(path, {key: value for key, value in run.items() if key != "recipe"})
    with pytest.raises(LineageError, match="does not say by which recipe"):
        gather.gather(workspace, RECIPE)
    write_json(path, run | {"recipe": run["recipe"] | {"operations": {"retrain": "0 3 * * 1"}}})
    assert gather.gather(workspace, RECIPE).params["operations"]["retrain"] is None


def test_without_a_run_there_is_no_provenance(workspace: Workspace) -> None:
    path = TrainingRun.of(workspace, RECIPE).run
    run = read_json(path)
    path.unlink()
    with pytest.raises(MissingArtifactError, match="train"):
        gather.gather(workspace, RECIPE)
    write_json(path, run | {"mlflow_run_id": "0" * 32})
    with pytest.raises(LineageError, match="MLflow run 0000"):
        gather.gather(workspace, RECIPE)
