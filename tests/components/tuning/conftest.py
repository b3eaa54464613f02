"""A recipe to search in."""

import pytest

from segtrail.params import check_params
from segtrail.recipe import Params


@pytest.fixture
def params():
    """Makes a `Params` of one recipe `cells`, with other values in its sections."""

    def make(masks: str = "instances", **sections) -> Params:
        recipe = {
            "dataset": "plates", "classes": ["cell"], "preprocessing": {}, "network": {},
            "training": {"steps": 40}, "objects": {}, "validation": {}, "serving": {},
            "gate": {"absolute": [{"metric": "mean_iou", "min": 0.5}]},
        }  # fmt: skip
        dataset = {
            "adapter": "folders", "masks": masks, "classes": ["cell"], "slices": {}, "splits": {}
        }  # fmt: skip
        raw = {"datasets": {"plates": dataset}, "recipes": {"cells": recipe | sections}}
        return check_params(raw, "params.yaml")

    return make
