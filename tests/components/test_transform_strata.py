"""Which images training may draw alike often."""

import pandas as pd

from components.transform import strata


def test_sizes_within_a_slice_are_strata_and_rare_ones_stay_with_the_slice():
    rows = [("stained", 256, 320)] * 6 + [("fluorescence", 256, 256)] * 5
    rows += [("fluorescence", 512, 640)] * 4 + [("fluorescence", 360, 360)]
    images = pd.DataFrame(rows, columns=["slice", "height", "width"])
    found = strata(images).value_counts().to_dict()
    assert found == {"stained.256x320": 6, "fluorescence.256x256": 5, "fluorescence": 5}
