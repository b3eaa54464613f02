"""`transform` on a runner that Beam does not know; what it computes is tested in tests/e2e."""

from pathlib import Path

import pytest

from components.transform import transform
from segtrail.artifacts import Examples, TransformGraph, ValidationResult
from segtrail.errors import ConfigError
from segtrail.files import write_json, write_text
from segtrail.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("runner", "says"),
    [
        ("Nope", "Beam does not take --runner=Nope: Unexpected pipeline runner: Nope"),
        ("no.such.Runner", "Beam does not take --runner=no.such.Runner: No module named 'no'"),
        ("os.path.Runner", "Beam does not take --runner=os.path.Runner: "),
    ],
)
def test_an_unknown_runner_is_named_and_nothing_is_left(tmp_path, runner, says):
    workspace = Workspace(tmp_path, tmp_path)
    write_text(workspace.params, (ROOT / "params.yaml").read_text())
    write_text(Examples.of(workspace, "demo").manifest, "not read")
    write_json(ValidationResult.of(workspace, "demo").result, {"passed": True})
    with pytest.raises(ConfigError) as caught:
        transform(workspace, "demo", runner=runner)
    assert says in caught.value.message
    target = TransformGraph.of(workspace, "demo").root
    assert sorted(path.name for path in target.parent.iterdir()) == ["examples", "validation"]
