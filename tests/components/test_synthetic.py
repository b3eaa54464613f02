"""The synthetic dataset: the same everywhere, and worth learning."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from components.ingestion.clusters import modality
from components.synthetic import generate
from segtrail.files import root_digest, tree_digests
from segtrail.images import decode_image

# One seed, one tree, on any machine. A change here changes every demonstration's data version.
SHA256_OF_SEED_1 = "79cda27bbc313d6d8654fa8e24c428a2e9adee8383c34989bb0e8c466db38f81"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    out = tmp_path_factory.mktemp("synthetic")
    generate(out)
    return out


def read(path):
    return decode_image(path.read_bytes(), path.name)


def test_one_seed_gives_the_same_bytes_everywhere(tree):
    assert root_digest(tree_digests(tree)) == SHA256_OF_SEED_1


def test_bytes_do_not_depend_on_the_vector_unit(tree, tmp_path):
    code = "from pathlib import Path; from components.synthetic import generate; " \
        f"generate(Path({str(tmp_path)!r}), images=5)"  # fmt: skip
    features = "AVX512_SKX AVX512F X86_V4 X86_V3 AVX2 FMA3 ASIMDHP ASIMDDP SVE"
    known = np._core._multiarray_umath.__cpu_dispatch__
    off = " ".join(f for f in features.split() if f in known)
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        check=True,
        env={**os.environ, "NPY_DISABLE_CPU_FEATURES": off},
    )
    first_five = {name.split("/")[0] for name in tree_digests(tmp_path)}
    assert len(first_five) == 5
    here = tree_digests(tree, skip=lambda name: name.split("/")[0] not in first_five)
    assert tree_digests(tmp_path) == here


def test_another_seed_gives_other_images(tree, tmp_path):
    generate(tmp_path, images=1, seed=2)
    (other,) = tmp_path.glob("*/images/*.png")
    assert other.read_bytes() != (tree / other.relative_to(tmp_path)).read_bytes()


def test_three_kinds_in_three_clusters_and_several_sizes(tree):
    images = [read(path) for path in sorted(tree.glob("*/images/*.png"))]
    clusters = [modality(image) for image in images]
    shares = {name: clusters.count(name) / len(images) for name in set(clusters)}
    assert shares == pytest.approx(
        {"dark-grey": 0.6, "bright-grey": 0.2, "bright-colour": 0.2}, abs=0.02
    )
    shapes = {image.shape[:2] for image in images}
    assert len(shapes) >= 5
    assert any(h != w for h, w in shapes)
    assert all(96 <= side <= 256 for shape in shapes for side in shape)


def test_masks_are_binary_disjoint_and_some_nuclei_touch(tree):
    touching = 0
    for folder in sorted(tree.iterdir())[:20]:
        masks = [read(path) for path in sorted((folder / "masks").iterdir())]
        assert all(set(np.unique(mask)) == {0, 255} for mask in masks)
        owners = sum((mask > 0).astype(int) for mask in masks)
        assert owners.max() == 1
        labels = sum(n * (mask > 0) for n, mask in enumerate(masks, 1))
        left, right = labels[:, :-1], labels[:, 1:]
        touching += np.count_nonzero((left != right) & (left > 0) & (right > 0))
    assert touching > 50


def test_a_threshold_alone_does_not_solve_it(tree):
    """The best grey threshold of each image, chosen with the mask in hand, still misses."""
    scores = []
    for folder in sorted(tree.iterdir()):
        image = read(folder / "images" / f"{folder.name}.png").astype(int)
        grey = image if image.ndim == 2 else image.sum(axis=2) // 3
        truth = sum(read(path) for path in (folder / "masks").iterdir()) > 0
        guesses = [grey > t for t in range(5, 250, 5)] + [grey < t for t in range(5, 250, 5)]
        scores.append(max((g & truth).sum() / (g | truth).sum() for g in guesses))
    assert 0.5 < np.mean(scores) < 0.9
