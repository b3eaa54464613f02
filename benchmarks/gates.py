"""Measures how often the gate is wrong, and how large a test split it takes to be right.

    python benchmarks/gates.py [--samples 2000] [--resamples 2000] [--out docs/gates.md]

`benchmarks/nuclei_scores.csv` has the real scores of three trainings of the recipe nuclei on its 61
test images (1,000, 1,600 and 2,400 steps; the last with more augmentation). Test splits of n images
are drawn from them with replacement, thousands of times; the tables between the marks of
docs/gates.md are written anew.

- Equally good models: for each image either model is as likely to have given either score.
- A level: the scores as they are, whose mean over the 61 images is the truth.
- Power: the one model's scores, and such an equally good model's less the difference.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.uncertainty import Change, Level

ROOT = Path(__file__).resolve().parents[1]
SCORES = Path(__file__).with_name("nuclei_scores.csv")
BEGIN, END = "<!-- measured: python benchmarks/gates.py -->", "<!-- end of measured -->"
CONFIDENCE = 0.95
TAIL = 0.025
PAIRS = (("1000_steps", "1600_steps"), ("1600_steps", "2400_steps"))
METRICS = ("mean_iou", "ap_50")
FEW = (5, 6, 8, 10, 15, 25, 50, 100, 200)
SIZES, DIFFERENCES = (25, 50, 100, 200), (0.01, 0.02, 0.05)

Floats = npt.NDArray[np.float64]


def scores() -> dict[str, Floats]:
    """Returns the columns of the file, `[61]` each, by `<metric>_<training>`."""
    with open(SCORES, newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    names = [name for name in rows[0] if name.startswith(METRICS)]
    return {name: np.asarray([float(row[name]) for row in rows]) for name in names}


def equally_good(differences: Floats, n: int, samples: int, seed: int) -> Iterator[Floats]:
    """Yields differences of n images between models that could as well be exchanged, `[n]`."""
    generator = np.random.default_rng(seed)
    for _ in range(samples):
        drawn = generator.choice(differences, n)
        yield drawn * generator.choice([-1.0, 1.0], n)


def told_apart(
    differences: Floats, n: int, samples: int, resamples: int, seed: int = 0
) -> tuple[float, float]:
    """Returns how often equally good models are said to be surely worse, and surely better."""
    groups = [str(i) for i in range(n)]
    worse = better = 0
    for number, sample in enumerate(equally_good(differences, n, samples, seed)):
        found = Change(sample, groups, resamples, number)
        worse += found.p_below(0.0) <= TAIL
        better += found.p_above(0.0) <= TAIL
    return worse / samples, better / samples


def percentile(sample: Floats, resamples: int, seed: int) -> tuple[float, float]:
    """Returns the percentile bootstrap interval, for comparison."""
    generator = np.random.default_rng(seed)
    means = sample[generator.integers(0, len(sample), (resamples, len(sample)))].mean(1)
    low, high = np.quantile(means, [TAIL, 1 - TAIL])
    return float(low), float(high)


def told_apart_by_percentiles(
    differences: Floats, n: int, samples: int, resamples: int
) -> tuple[float, float]:
    """Returns what `told_apart` does, of the percentile bootstrap."""
    ends = [
        percentile(sample, resamples, number)
        for number, sample in enumerate(equally_good(differences, n, samples, 0))
    ]
    return (
        sum(high < 0 for _, high in ends) / samples,
        sum(low > 0 for low, _ in ends) / samples,
    )


def missed(values: Floats, n: int, samples: int, resamples: int) -> tuple[float, ...]:
    """Returns how often the true level is above and below the interval, then by percentiles."""
    generator, truth, counts = np.random.default_rng(0), values.mean(), np.zeros(4)
    groups = [str(i) for i in range(n)]
    for number in range(samples):
        sample = generator.choice(values, n)
        for place, (low, high) in enumerate(
            (
                Level(sample, groups, resamples, number).interval(CONFIDENCE),
                percentile(sample, resamples, number),
            )
        ):
            counts[2 * place : 2 * place + 2] += (high < truth, low > truth)
    return tuple(counts / samples)


def power(
    differences: Floats, n: int, by: float, samples: int, resamples: int
) -> tuple[float, float]:
    """Returns how often a model that is worse by more than the margin, and one better, is told.

    The first is by `by` beyond the margin, the second by `by` within it: fails and passes.
    """
    groups = [str(i) for i in range(n)]
    fails = passes = 0
    for number, sample in enumerate(equally_good(differences, n, samples, 1)):
        found = Change(sample, groups, resamples, number)
        fails += found.p_below(by) <= TAIL
        passes += found.p_above(-by) <= TAIL
    return fails / samples, passes / samples


def tables(samples: int, resamples: int) -> Iterator[str]:
    """Yields the lines of the page."""
    have = scores()
    yield f"{samples:,} test splits a cell, {resamples:,} resamples each; a rate of 0.025 is so"
    yield f"measured within ±{2 * np.sqrt(TAIL * (1 - TAIL) / samples):.3f} (two standard errors)."
    for metric in METRICS:
        yield ""
        yield f"**Equally good models**, `{metric}`: said to be surely worse / surely better"
        yield "(asked: at most 0.025 each)"
        yield ""
        heads = [f"{a[:4]} and {b[:4]} steps" for a, b in PAIRS]
        yield "| images | " + " | ".join(f"{h} | by percentile bootstrap" for h in heads) + " |"
        yield "| --- " * (1 + 2 * len(PAIRS)) + "|"
        for n in FEW:
            cells = []
            for a, b in PAIRS:
                d = have[f"{metric}_{a}"] - have[f"{metric}_{b}"]
                for method in (told_apart, told_apart_by_percentiles):
                    cells.append("{:.3f} / {:.3f}".format(*method(d, n, samples, resamples)))
            yield f"| {n} | " + " | ".join(cells) + " |"
            print(metric, n, cells, file=sys.stderr)
    yield ""
    yield "**Levels**: the truth is above / below the interval (asked: 0.025 each)"
    yield ""
    yield "| images | " + " | ".join(f"`{m}` | by percentile bootstrap" for m in METRICS) + " |"
    yield "| --- " * (1 + 2 * len(METRICS)) + "|"
    for n in FEW[3:]:
        found = [missed(have[f"{m}_2400_steps"], n, samples, resamples) for m in METRICS]
        cells = [f"{rates[i]:.3f} / {rates[i + 1]:.3f}" for rates in found for i in (0, 2)]
        yield f"| {n} | " + " | ".join(cells) + " |"
        print("level", n, cells, file=sys.stderr)
    yield ""
    yield "**Power**: how often a `mean_iou` that is worse than the margin by so much fails (and"
    yield "one that is better than the margin by so much passes)."
    yield ""
    for a, b in PAIRS:
        d = have[f"mean_iou_{a}"] - have[f"mean_iou_{b}"]
        yield f"Images as different as between {a[:4]} and {b[:4]} steps, standard deviation of the"
        yield f"differences {d.std(ddof=1):.3f}:"
        yield ""
        yield "| images | " + " | ".join(f"{by:g}" for by in DIFFERENCES) + " |"
        yield "| --- " * (1 + len(DIFFERENCES)) + "|"
        for n in SIZES:
            cells = [
                "{:.2f} ({:.2f})".format(*power(d, n, by, samples, resamples)) for by in DIFFERENCES
            ]
            yield f"| {n} | " + " | ".join(cells) + " |"
            print("power", a, b, n, cells, file=sys.stderr)
        yield ""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/gates.md")
    options = parser.parse_args()
    before, rest = options.out.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    measured = "\n".join([BEGIN, "", *tables(options.samples, options.resamples), END])
    options.out.write_text(before + measured + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
