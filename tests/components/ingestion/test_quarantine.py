"""What can be quarantined, and what cannot."""

from __future__ import annotations

import numpy as np
import pytest

from segtrail.errors import DataError

WHOLE = "; concerns the whole delivery, so nothing can be quarantined"


@pytest.mark.parametrize("bad", ["", "b"])
def test_a_problem_of_the_whole_delivery_is_told_from_those_of_images(lab, bad):
    folder = lab.delivery("first")
    lab.write(folder / "stray.png", np.zeros((4, 4), np.uint8))
    if bad:
        (folder / "b/images/b.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="1 problem; nothing was ingested") as error:
        lab.ingest(folder, on_bad="quarantine")
    said = error.value.message
    (line,) = [line for line in said.splitlines() if "stray.png" in line]
    assert WHOLE in line
    assert said.count(WHOLE) == 1
    assert ("something is wrong with 1 image" in said) == bool(bad)
    assert not (lab.root / "quarantine").exists()
    with pytest.raises(DataError) as error:  # without quarantine they are listed as they are
        lab.ingest(folder)
    assert WHOLE not in error.value.message
