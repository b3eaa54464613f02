from __future__ import annotations

import re
from pathlib import Path

import yaml

from segtrail.params import load_params

ROOT = Path(__file__).resolve().parents[2]


def test_the_dataset_and_recipe_of_the_guide_are_what_the_schema_allows(tmp_path: Path) -> None:
    text = (ROOT / "docs/how-to/own-data.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    path = tmp_path / "params.yaml"
    path.write_text(block)
    params = load_params(path)
    assert params.recipes["mine"].dataset in params.datasets


def test_the_training_section_of_the_readme_is_one():
    """What people copy must be read, and every value in it be heeded."""
    from segtrail.settings.training import Training

    text = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"## Training\n.*?```yaml\n(.*?)```", text, re.DOTALL)
    given = yaml.safe_load(block)["training"]
    read = Training.model_validate(given)
    assert {key: read.model_dump(include={key}, exclude_unset=True)[key] for key in given} == given
