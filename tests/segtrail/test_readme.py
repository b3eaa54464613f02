from __future__ import annotations

import re
from pathlib import Path

from segtrail.params import load_params

ROOT = Path(__file__).resolve().parents[2]


def test_the_dataset_and_recipe_of_the_readme_are_what_the_schema_allows(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    path = tmp_path / "params.yaml"
    path.write_text(block)
    params = load_params(path)
    assert params.recipes["mine"].dataset in params.datasets
