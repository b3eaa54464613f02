"""Finds neighbouring crops of one field: where one image's edge goes on in another's.

Publishers cut large fields into tiles. The tiles share a specimen, a stain and an exposure, so
with one in training and its neighbour in test the test is too easy. Where a cut went through,
the last line of one tile and the first of the next are as alike as two lines next to each
other inside a tile. That is what is tested here, at full resolution and on three scales, as in
solving jigsaw puzzles (Pomeranz, Shemesh and Ben-Shahar, 2011, "best buddies").

The limits were set on the 609 images of the Data Science Bowl 2018 against a null of pairs that
cannot be neighbours (left edge with left edge and so on): see `docs/splits.md`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.ingestion.fingerprints import (
    BINS,
    BOTTOM,
    LEFT,
    RIGHT,
    SIDES,
    STEP,
    TOP,
    Fingerprint,
)

# The side of the first image that meets a side of the second.
MEETINGS = ((RIGHT, LEFT), (BOTTOM, TOP))
SHORTEST = 32  # pixels; shorter edges say too little
CANDIDATES = 3  # an edge's most likely partners that are looked at in full

# What the fingerprints must say: looser than what the pixels must say.
_POOLED_CORRELATION = 0.8
_POOLED_STEP = 2.5

# What the pixels must say. The step from edge to edge over the step from each edge to the line
# inside it, mean absolute differences, after pooling by 1, 4 and 16 pixels.
CORRELATION = 0.5
STEPS = ((1, 1.2), (4, 1.3), (16, 1.6))
ELSEWHERE = 0.75  # the step over the smallest step where the edges cannot meet
CLIPPED = 0.6  # at most, of the edge: see `_clipped`
_SMOOTHED = 5  # pixels

Lines = Callable[[str], Sequence[npt.NDArray[np.float32]]]


@dataclass(frozen=True)
class Seam:
    """Two edges that go on in each other.

    Attributes:
        first: The image to the left or above.
        second: The image to the right or below.
        meeting: 0 if side by side, 1 if one above the other.
        correlation: Pearson's, of the two lines of pixels.
        step: How unlike they are, 1 being as unlike as neighbouring lines inside the images.
        elsewhere: The step over the smallest step where they cannot meet; the less, the less by
            chance.
        fit: Pearson's correlation of the lines' derivatives, after smoothing: how well the
            borders of what the cut went through meet. Ranks seams.
    """

    first: str
    second: str
    meeting: int
    correlation: float
    step: float
    elsewhere: float
    fit: float


def candidates(
    known: Mapping[str, Fingerprint], arrived: Mapping[str, Fingerprint], mirrored: bool = False
) -> list[tuple[str, str, int]]:
    """Returns `(first, second, meeting)` of edges that may go on in each other.

    At least one of the two arrived. Compares all edges of the same length, in blocks; keeps
    the three best partners of each edge.

    Args:
        known: Images that are there.
        arrived: Images that arrived.
        mirrored: Read the second's edge backwards. What is found then is chance: as many
            comparisons of the same edges, of which none can be right.
    """
    names = [*sorted(arrived), *sorted(known)]
    everyone = [*(arrived[n] for n in sorted(arrived)), *(known[n] for n in sorted(known))]
    out = []
    for meeting, (one, other) in enumerate(MEETINGS):
        by_length: dict[int, list[int]] = defaultdict(list)
        for n, f in enumerate(everyone):
            by_length[f.shape[meeting]].append(n)
        for length, members in sorted(by_length.items()):
            if length < SHORTEST or len(members) < 2:
                continue
            index = np.array(members)
            new = int((index < len(arrived)).sum())
            found = _alike(
                _Profiles.of([everyone[n] for n in members], one),
                _Profiles.of([everyone[n] for n in members], other, mirrored),
                new,
            )
            out += [
                (names[index[a]], names[index[b]], meeting) for a, b in found if min(a, b) < new
            ]
    return out


@dataclass(frozen=True)
class _Profiles:
    """One side of many images, pooled; standardised, with mean, deviation and noise."""

    shape: npt.NDArray[np.float32]  # [N, 32]
    mean: npt.NDArray[np.float32]
    deviation: npt.NDArray[np.float32]
    noise: npt.NDArray[np.float32]

    @classmethod
    def of(
        cls, fingerprints: Sequence[Fingerprint], side: int, mirrored: bool = False
    ) -> _Profiles:
        edges = np.frombuffer(b"".join(f.edges for f in fingerprints), np.int8)
        levels = np.frombuffer(b"".join(f.levels for f in fingerprints), "<f2")
        mean, deviation, noise = levels.reshape(-1, len(SIDES), 3)[:, side].astype(np.float32).T
        shape = edges.reshape(-1, len(SIDES), BINS)[:, side].astype(np.float32) * np.float32(STEP)
        # Quantisation adds to the noise: of the profile, of the mean, and of the pixels.
        noise = np.sqrt(noise**2 + (deviation * STEP) ** 2 / 12 + (mean / 2048) ** 2 + 1e-9)
        return cls(shape[:, ::-1] if mirrored else shape, mean, deviation, noise)


def _alike(first: _Profiles, second: _Profiles, new: int) -> list[tuple[int, int]]:
    """Returns the most likely pairs of edges, of which one is among the first `new`."""
    found: list[npt.NDArray[np.float64]] = []
    count = len(first.mean)
    for rows, columns in _blocks(count, new):
        alike = first.shape[rows] @ second.shape[columns].T / BINS
        a, b = np.nonzero(alike >= _POOLED_CORRELATION)
        correlation = alike[a, b]
        a, b = a + rows.start, b + columns.start
        step = (
            (first.mean[a] - second.mean[b]) ** 2
            + first.deviation[a] ** 2
            + second.deviation[b] ** 2
            - 2 * first.deviation[a] * second.deviation[b] * correlation
        )
        step = step.clip(0) / ((first.noise[a] ** 2 + second.noise[b] ** 2) / 2)
        keep = (a != b) & (step <= _POOLED_STEP**2)
        found.append(_best(np.stack([a[keep], b[keep], step[keep]], 1).astype(np.float64)))
    best = _best(np.concatenate(found)) if found else np.zeros((0, 3))
    return [(int(a), int(b)) for a, b, _ in best]


def _blocks(count: int, new: int, size: int = 2048) -> Iterator[tuple[slice, slice]]:
    """Yields blocks of pairs, each at most `size` squared, without pairs of old with old."""
    for at in range(0, count, size):
        columns = count if at < new else new
        for across in range(0, columns, size):
            yield slice(at, min(at + size, count)), slice(across, min(across + size, columns))


def _best(pairs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns the pairs `(one, other, step)` that are among the three best of one or of other.

    That of parts, and then of what is left of them, is the same as that of all at once.
    """
    best = np.zeros(len(pairs), bool)
    for column in (0, 1):
        order = np.lexsort((pairs[:, 1 - column], pairs[:, 2], pairs[:, column]))
        ranked = pairs[order, column]
        rank = np.arange(len(ranked)) - np.searchsorted(ranked, ranked)
        best[order] |= rank < CANDIDATES
    return pairs[best]


def seam(
    first: str, second: str, meeting: int, lines: Lines, mirrored: bool = False
) -> Seam | None:
    """Compares two edges at full resolution; None if they do not go on in each other.

    Args:
        first: The image to the left or above.
        second: The other.
        meeting: Which sides meet: an index of `MEETINGS`.
        lines: Returns an image's edges: see `fingerprints.edge_lines`.
        mirrored: See `candidates`.
    """
    one, other = MEETINGS[meeting]
    a, a_inside = lines(first)[one]
    b, b_inside = lines(second)[other][:, ::-1] if mirrored else lines(second)[other]
    if len(a) != len(b) or _clipped(a, b) > CLIPPED:
        return None
    correlation = _correlation(a, b)
    if correlation < CORRELATION:
        return None
    steps = []
    for width, limit in STEPS:
        inside = (_step(a, a_inside, width) + _step(b, b_inside, width)) / 2
        steps.append(_step(a, b, width) / max(inside, 0.25 / width**0.5))
        if steps[-1] > limit:
            return None
    # Where they cannot meet: shifted along each other, with the same side of the other image,
    # with the other side of the same image. A lamp's shading fits there just as well.
    b_same, a_opposite = lines(second)[one][0], lines(first)[other][0]
    b_same = b_same[::-1] if mirrored else b_same
    least = min(
        *(_step(a, np.roll(b, shift), 1) for shift in range(8, len(a) - 7, 4)),
        *(_step(x, y, 1) for x, y in ((a, b_same), (a, a_opposite), (b, a_opposite), (b, b_same))
          if len(x) == len(y)),
    )  # fmt: skip
    elsewhere = _step(a, b, 1) / max(least, 1e-6)
    if elsewhere > ELSEWHERE:
        return None
    fit = _correlation(_derivative(a), _derivative(b))
    return Seam(first, second, meeting, correlation, max(steps), elsewhere, fit)


def _correlation(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    spread = float(a.std()) * float(b.std())
    return float(((a - a.mean()) * (b - b.mean())).mean()) / spread if spread else 0.0


def _derivative(line: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    out: npt.NDArray[np.float32] = np.convolve(line, np.ones(_SMOOTHED, np.float32), "valid")
    return np.diff(out)


def _clipped(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """Returns the part of two lines where both have the same lowest or the same highest value.

    There the camera saturated, or somebody painted the ground: no evidence of one field.
    """
    low, high = min(a.min(), b.min()), max(a.max(), b.max())
    return float(((a == b) & ((a == low) | (a == high))).mean())


def _step(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32], width: int) -> float:
    difference = a - b
    if width > 1:
        whole = len(difference) // width * width
        difference = difference[:whole].reshape(-1, width).mean(1)
    return float(np.abs(difference).mean())
