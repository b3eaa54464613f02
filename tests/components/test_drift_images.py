"""What is caught and what is not, on synthetic and on real images.

Draws are of whole groups: images of one field are dependent. A draw takes some groups as the
new images; the rest is the baseline.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from components.drifting.compare import compare
from components.drifting.relations import group_by_look
from components.drifting.sample import Sample, sample_of
from components.drifting.verdict import MODERATE, NONE, SEVERE, worst
from components.ingestion.clusters import modality
from components.ingestion.fingerprints import fingerprint
from components.ingestion.synthetic import generate
from segtrail.image_statistics import image_statistics
from segtrail.images import decode_image
from segtrail.settings.drift import Drift

SHARED = Path(__file__).parents[3] / "shared/data"
DSB2018 = SHARED / "dsb2018/stage1_train.zip"
WBC = SHARED / "wbc/segmentation_WBC.zip"
EM = SHARED / "isbi2012/membrane.zip"
FUNDUS = SHARED / "drishti-gs/Drishti-GS1_files.zip"
OPTIONS = Drift()
ALARMS = (MODERATE, SEVERE)

Pixels = np.ndarray


def inverted(pixels: Pixels) -> Pixels:
    return _colours(pixels, lambda p: 255 - p)


def darkened(pixels: Pixels) -> Pixels:
    return _colours(pixels, lambda p: (p * 0.6).astype(np.uint8))


def blurred(pixels: Pixels) -> Pixels:
    return _colours(pixels, lambda p: cv2.GaussianBlur(p, (0, 0), 2))


def restained(pixels: Pixels) -> Pixels:
    """More of what takes out red light, less of what takes out blue: another batch of stain.

    By Beer and Lambert the light that is left is a power of the light that was left before.
    """
    table = ((np.arange(256)[:, None] + 1) / 256) ** (1.5, 1.0, 0.7) * 256 - 1
    table = np.clip(table, 0, 255).astype(np.uint8)
    return np.dstack([table[pixels[..., c], c] for c in range(3)])


def _colours(pixels: Pixels, change: Callable[[Pixels], Pixels]) -> Pixels:
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return change(pixels)
    return np.dstack([change(np.ascontiguousarray(pixels[..., :3])), pixels[..., 3]])


def same(pixels: Pixels) -> Pixels:
    return pixels


def measured(
    images: dict[str, Pixels], groups: dict[str, str], change: Callable[[Pixels], Pixels] = same
) -> Sample:
    rows = []
    for name, pixels in images.items():
        changed = change(pixels)
        row = {"image": name, "slice": modality(changed), "group": groups[name]}
        rows.append(row | image_statistics(changed))
    return sample_of(rows, [name for name in OPTIONS.statistics if name in rows[0]])


def drawn(sample: Sample, share: float, draw: int) -> np.ndarray:
    """Returns which images are in a draw of about this share of the groups."""
    names = sorted(set(sample.groups))
    chosen = np.random.default_rng([41, draw]).permutation(names)[: round(share * len(names))]
    return np.isin(sample.groups, chosen)


def verdicts(
    sample: Sample, changed: Sample, draws: range, share: float = 0.2, options: Drift = OPTIONS
) -> list[str]:
    """Returns the severity for each draw, where the new images are changed ones."""
    found = []
    with threadpool_limits(1):
        for draw in draws:
            new = drawn(sample, share, draw)
            slices = compare(sample.take(~new), changed.take(new), options)
            found.append(worst(s.severity for s in slices))
    return found


def alarm_count(severities: list[str]) -> int:
    return sum(severity in ALARMS for severity in severities)


def read_zip(path: Path, wanted: Callable[[str], bool]) -> dict[str, Pixels]:
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if wanted(name))
        return {name: decode_image(archive.read(name), name) for name in names}


def by_look(images: dict[str, Pixels]) -> dict[str, str]:
    prints = {name: fingerprint(pixels) for name, pixels in images.items()}
    return group_by_look(prints, images.__getitem__)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory) -> dict[str, Pixels]:
    folder = tmp_path_factory.mktemp("synthetic")
    generate(folder, images=160, seed=3)
    files = sorted(folder.glob("*/images/*.png"))
    return {path.stem: decode_image(path.read_bytes(), path.name) for path in files}


def test_synthetic_images(synthetic):
    alone = {name: name for name in synthetic}
    sample = measured(synthetic, alone)
    draws = range(10)
    fresh = verdicts(sample, sample, range(60), share=0.3)
    assert alarm_count(fresh) <= 3
    for change in (inverted, darkened, blurred):
        changed = measured(synthetic, alone, change)
        assert verdicts(sample, changed, draws, share=0.3) == [SEVERE] * 10, change.__name__
    stained = {name: pixels for name, pixels in synthetic.items() if pixels.ndim == 3}
    sample, changed = measured(stained, alone), measured(stained, alone, restained)
    few = OPTIONS.model_copy(update={"min_images": 10})
    assert alarm_count(verdicts(sample, sample, draws, 0.5, few)) <= 1
    assert alarm_count(verdicts(sample, changed, draws, 0.5, few)) == 10


def _small_dsb2018() -> dict[str, Pixels]:
    """Returns the images of up to 0.3 megapixels: nearly all, without the slow ones."""
    images = read_zip(DSB2018, lambda name: "/images/" in name and name.endswith(".png"))
    return {name: pixels for name, pixels in images.items() if pixels[..., 0].size <= 300_000}


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not DSB2018.exists(), reason="../shared/data/dsb2018 is not there")
def test_real_nuclei_fresh_draws_are_not_drift_and_changed_ones_are():
    """200 draws by field: at most 10 alarm; changed copies of the same draws all do."""
    images = _small_dsb2018()
    groups = by_look(images)
    assert len(images) > 450
    assert len(set(groups.values())) < len(images)
    sample = measured(images, groups)
    fresh = verdicts(sample, sample, range(200))
    assert alarm_count(fresh) <= 10
    assert fresh.count(NONE) >= 190  # and not for want of evidence
    for change in (inverted, darkened, blurred):
        changed = measured(images, groups, change)
        assert alarm_count(verdicts(sample, changed, range(20))) == 20, change.__name__
    stained = {name: p for name, p in images.items() if modality(p) == "bright-colour"}
    sample, changed = (measured(stained, groups, change) for change in (same, restained))
    assert alarm_count(verdicts(sample, changed, range(20), share=0.4)) == 20


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not DSB2018.exists(), reason="../shared/data/dsb2018 is not there")
def test_real_crops_of_one_image_are_dependent_and_draws_of_them_do_not_alarm():
    """The quarters of an image are a group; counted one by one, they alarm far too often."""
    images = dict(list(_small_dsb2018().items())[:150])
    quarters, groups = {}, {}
    for name, pixels in images.items():
        h, w = pixels.shape[0] // 2, pixels.shape[1] // 2
        for at, part in enumerate((pixels[:h, :w], pixels[:h, w:], pixels[h:, :w], pixels[h:, w:])):
            quarters[f"{name} {at}"], groups[f"{name} {at}"] = np.ascontiguousarray(part), name
    sample = measured(quarters, groups)
    assert alarm_count(verdicts(sample, sample, range(100))) <= 5
    alone = Sample(sample.images, sample.slices, sample.images, sample.values)
    naive = 0
    with threadpool_limits(1):
        for draw in range(100):
            new = drawn(sample, 0.2, draw)
            found = compare(alone.take(~new), alone.take(new), OPTIONS)
            naive += worst(s.severity for s in found) in ALARMS
    assert naive > 10


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not WBC.exists(), reason="../shared/data/wbc is not there")
def test_real_blood_cells_re_stained_are_drift():
    images = read_zip(WBC, lambda name: name.endswith(".bmp"))
    groups = {name: name for name in images}
    sample = measured(images, groups)
    assert alarm_count(verdicts(sample, sample, range(100))) <= 5
    for change in (inverted, darkened, blurred, restained):
        changed = measured(images, groups, change)
        assert verdicts(sample, changed, range(20)) == [SEVERE] * 20, change.__name__


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not FUNDUS.exists(), reason="../shared/data/drishti-gs is not there")
def test_real_fundus_images_and_few_of_them():
    large = read_zip(FUNDUS, lambda name: "/Images/" in name and name.endswith(".png"))
    images = {name: np.ascontiguousarray(pixels[::3, ::3]) for name, pixels in large.items()}
    groups = {name: name for name in images}
    sample = measured(images, groups)
    assert alarm_count(verdicts(sample, sample, range(50), share=0.45)) <= 3
    for change in (inverted, darkened, blurred, restained):
        changed = measured(images, groups, change)
        assert alarm_count(verdicts(sample, changed, range(5), share=0.45)) == 5, change.__name__
    few = verdicts(sample, measured(images, groups, inverted), range(5), share=0.2)
    assert few == ["insufficient evidence"] * 5


@pytest.mark.real_data
@pytest.mark.skipif(not EM.exists(), reason="../shared/data/isbi2012 is not there")
def test_inversion_shows_where_brightness_cannot_tell():
    """The membranes' grey levels lie about the middle: inverted, their mean hardly moves."""
    images = read_zip(EM, lambda name: "/image/" in name and name.endswith(".png"))
    groups = {name: name for name in images}
    sample, changed = (measured(images, groups, change) for change in (same, inverted))
    new = np.arange(len(images)) % 2 == 0
    options = OPTIONS.model_copy(update={"min_images": 10})
    found = compare(sample.take(~new), changed.take(new), options)[0]
    assert {f.statistic for f in found.findings if f.severity == SEVERE} == {"skewness"}
