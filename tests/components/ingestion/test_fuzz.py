"""Hundreds of damaged deliveries: each lands whole, or is refused by name; nothing else happens.

They are made from real images where `../shared/data` is there, and from drawn ones elsewhere.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import fuzzing
import numpy as np
import pytest
import tiffs
from hypothesis import given, settings
from hypothesis import strategies as st

from segtrail import png
from segtrail.errors import DataError, SegtrailError
from segtrail.images import decode_image, decode_values, image_size, page_count, read_labels

CASES = 640
SECONDS = 5  # for one of them, on a busy machine
WHOLE = 20  # cases that go through all of ingestion
DSB2018 = Path(__file__).parents[4] / "shared/data/dsb2018/stage1_train.zip"
IMAGES = 3


def real_images() -> dict[str, tuple[bytes, dict[str, bytes]]]:
    """Returns the smallest images of the Data Science Bowl and their masks, by id."""
    with zipfile.ZipFile(DSB2018) as z:
        parts: dict[str, dict[str, zipfile.ZipInfo]] = {}
        for info in z.infolist():
            if not info.is_dir():
                image, _, name = info.filename.partition("/")
                parts.setdefault(image, {})[name] = info
        few = sorted(parts, key=lambda i: (sum(m.file_size for m in parts[i].values()), i))
        out = {}
        for image in [i for i in few if 2 <= len(parts[i]) <= 6][:IMAGES]:
            files = {name: z.read(info) for name, info in parts[image].items()}
            out[image] = (files.pop(f"images/{image}.png"), files)
    return out


def drawn_images() -> dict[str, tuple[bytes, dict[str, bytes]]]:
    out = {}
    for n in range(IMAGES):
        pixels = np.random.default_rng(n).integers(0, 60, (96, 80), np.uint8)
        masks = []
        for x in (10, 45):
            mask = np.zeros_like(pixels)
            cv2.circle(mask, (x + 10, 40), 9 + n, 255, -1)
            masks.append(mask)
            pixels[mask > 0] += 120
        out[f"n{n}"] = (
            png.encode(pixels),
            {f"masks/m{i}.png": png.encode(mask) for i, mask in enumerate(masks)},
        )
    return out


def write_corpus(root: Path) -> Path:
    """Writes the same images in both layouts, the second in all formats and depths."""
    images = real_images() if DSB2018.exists() else drawn_images()
    for n, (image, (data, masks)) in enumerate(images.items()):
        folder = root / "dsb2018" / image
        for name, content in {f"images/{image}.png": data, **masks}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        pixels = decode_image(data, image)[:96, :96]
        grey = pixels if pixels.ndim == 2 else pixels[..., 1]
        labels = np.zeros(pixels.shape[:2], np.uint16)
        for i, mask in enumerate(masks.values(), 1):
            labels[read_labels(mask, image)[:96, :96] > 0] = i
        small = labels.astype(np.uint8)
        for sub in ("images", "masks"):
            (root / "folders" / sub).mkdir(parents=True, exist_ok=True)

        def write(name: str, content: bytes) -> None:
            (root / "folders" / name).write_bytes(content)

        if n == 0:
            write("images/jpeg.jpg", cv2.imencode(".jpg", grey)[1].tobytes())
            write("masks/jpeg.png", png.encode(labels))
            write("images/bmp.bmp", cv2.imencode(".bmp", pixels[..., 2::-1] if pixels.ndim == 3
                                                 else pixels)[1].tobytes())  # fmt: skip
            write("masks/bmp.bmp", cv2.imencode(".bmp", small)[1].tobytes())
        elif n == 1:
            write(
                "images/deep.tif", cv2.imencode(".tif", grey.astype(np.uint16) * 200)[1].tobytes()
            )
            write("masks/deep.tif", tiffs.plain(labels))
        else:
            write("images/stack.tif", tiffs.tiff(tiffs.page(grey), tiffs.page(grey[::-1])))
            write("masks/stack.tif", tiffs.tiff(tiffs.page(labels), tiffs.page(labels[::-1])))
    return root


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("fuzz") / "corpus")


@pytest.mark.parametrize("layout", sorted(fuzzing.LAYOUTS))
@pytest.mark.parametrize("kind", fuzzing.KINDS)
def test_without_damage_all_of_it_lands(corpus, tmp_path, layout, kind):
    path = tmp_path / f"x.{kind}"
    fuzzing.pack(path, kind, fuzzing.read_corpus(corpus / layout))
    landed = fuzzing.take_in(layout, path, tmp_path)
    assert fuzzing.check_decodes(landed) == {"dsb2018": 3, "folders": 5}[layout]


def run_all(corpus: Path, folder: Path) -> list[dict]:
    """Runs the cases in two processes with limits of memory; returns what became of each."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    runs = []
    for n in range(2):
        results, log = folder / f"{n}.jsonl", open(folder / f"{n}.log", "w")  # noqa: SIM115
        command = [sys.executable, fuzzing.__file__, corpus, folder / f"scratch{n}", results]
        command += [str(n), "2", str(CASES)]
        runs.append(
            (subprocess.Popen(command, stderr=log, stdout=log, env=environment), results, log)
        )
    out = []
    for process, results, log in runs:
        try:
            code = process.wait(timeout=200)
        finally:
            process.kill()
            log.close()
        lines = results.read_text().splitlines()
        tail = Path(log.name).read_text()[-2000:]
        assert code == 0, f"died with {code} after {lines[-1:] or 'no case'}: {tail}"
        out += [json.loads(line) for line in lines]
    return out


def outcome_of(call: Callable[[], Any]) -> Any:
    """Returns what a call returns, or with what error it refuses."""
    try:
        return call()
    except SegtrailError as e:
        return e


def test_each_damaged_delivery_lands_whole_or_is_refused_by_name(corpus, tmp_path):
    outcomes = run_all(corpus, tmp_path)
    assert len(outcomes) == CASES >= 500
    crashed = [o for o in outcomes if "crashed" in o]
    assert not crashed, "\n".join(f"{o['case']} {o['how']}: {o['crashed']}" for o in crashed[:5])
    nameless = [o for o in outcomes if "refused" in o and not o["names_a_file"]]
    assert not nameless, "\n".join(f"{o['how']}: {o['refused']}" for o in nameless[:5])
    slow = [o for o in outcomes if o["seconds"] > SECONDS]
    assert not slow, "\n".join(f"{o['seconds']:.1f} s: {o['how']}" for o in slow)
    # an archive that lost members does not land the rest
    partial = [
        o for o in outcomes
        if "archive: " in o["how"] and o.get("landed", 3) not in (3, 5)
    ]  # fmt: skip
    assert not partial, partial[:5]
    kinds = Counter(("refused" in o, o["how"].split(":")[0]) for o in outcomes)
    for layout in fuzzing.LAYOUTS:
        for kind in fuzzing.KINDS:
            assert kinds[True, f"{layout} {kind}"] >= CASES / 16, "the damage does no harm"


def test_through_all_of_ingestion_nothing_is_half_landed(corpus, landed):
    """Data, git and DVC stay as they were, or hold all of the delivery."""
    scratch, rng = landed.bench / "scratch", random.Random(7)
    numbers = iter(rng.sample(range(1000, 9000, 2), 200))  # the layout of the lab's dataset
    done = Counter()
    while sum(done.values()) < WHOLE:
        number = next(numbers)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        layout, path, how = fuzzing.make(number, corpus, scratch)
        assert layout == "dsb2018"
        before = landed.snapshot()
        delivery = outcome_of(lambda path=path: landed.ingest(path))
        if isinstance(delivery, SegtrailError):
            assert isinstance(delivery, DataError), how
            assert landed.snapshot() == before, how
            done["refused"] += 1
            continue
        done["landed"] += 1
        data = landed.root / "data/nuclei"
        for image in delivery.added:
            size = decode_image((data / f"images/{image}.png").read_bytes(), image).shape[:2]
            assert read_labels((data / f"masks/{image}.png").read_bytes(), image).shape == size
        assert len(landed.splits()) == len(list((data / "images").iterdir()))
    assert done["refused"] >= WHOLE // 2, done


@given(
    st.sampled_from([".png", ".jpg", ".bmp", ".tif"]),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
    st.booleans(),
)
@settings(deadline=2000, max_examples=300)
def test_whatever_bytes_there_are_decoding_them_gives_pixels_or_a_reason(suffix, rng, times, deep):
    image = np.random.default_rng(rng.randrange(99)).integers(0, 256, (20, 17, 3), np.uint8)
    if deep and suffix in (".png", ".tif"):
        image = image.astype(np.uint16) * 256
    data = bytearray(cv2.imencode(suffix, image)[1].tobytes())
    for _ in range(times):
        if data:
            rng.choice(fuzzing.ANY)(rng, data)
    for ask in (
        image_size,
        page_count,
        partial(decode_image, max_pixels=10_000),
        partial(decode_values, max_pixels=10_000),
    ):
        answer = outcome_of(lambda ask=ask: ask(bytes(data), "case.x"))
        if isinstance(answer, SegtrailError):
            assert isinstance(answer, DataError)
            assert answer.message.startswith("case.x: ")
        elif isinstance(answer, np.ndarray):
            assert answer.dtype in (np.uint8, np.uint16)
            assert answer.shape[:2] == image_size(bytes(data), "case.x")
            assert answer.size <= 40_000
