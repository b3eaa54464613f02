"""The network of docs/how-to/own-network.md, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from segtrail.settings import network as settings

GUIDE = Path(__file__).resolve().parents[3] / "docs/how-to/own-network.md"
FENCE = re.compile(r"(<!-- part of a file -->\n)?```python\n(.*?)```", re.DOTALL)


def test_the_network_of_the_guide_is_one():
    from model.receptive_field import radius

    blocks = [code for part, code in FENCE.findall(GUIDE.read_text()) if not part]
    options_code, network_code = blocks
    of_settings, of_network = dict(vars(settings)), {}
    exec(compile(options_code, str(GUIDE), "exec", dont_inherit=True), of_settings)
    exec(compile(network_code, str(GUIDE), "exec", dont_inherit=True), of_network)
    options = of_settings["Dilated"].model_validate({"name": "dilated", "filters": 4})
    network = of_network["build"](options, 2, 3)
    assert radius(network) == 1 + 2 + 4 + 8
    answer = network(np.zeros((1, 7, 11, 2), np.float32))
    assert answer.shape == (1, 7, 11, 3)
    assert answer.dtype == "float32"


def test_the_parts_belong_where_the_guide_says():
    union, name = (code for part, code in FENCE.findall(GUIDE.read_text()) if part)
    last = union.splitlines()[0]
    assert f"{last},\n    Discriminator" in Path(settings.__file__).read_text()
    registry = (GUIDE.parents[2] / "model/networks/registry.py").read_text()
    assert name.replace("dilated", "unet") in registry
