"""How far two samples are apart: Jensen-Shannon distance and Kolmogorov-Smirnov."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.drifting.sample import Codes, Values


def quantile_bins(baseline: Values, values: Values, bins: int) -> tuple[Codes, int]:
    """Puts values into bins between the baseline's quantiles.

    The outer bins are open. A value that is a quantile itself has a bin of its own, so that
    whole numbers and constants (image heights, the saturation of grey images) fall into one
    bin together whatever lies about them.

    Args:
        baseline: `[N]`: its quantiles at 1/bins, 2/bins … are the edges.
        values: `[M]`.
        bins: How many parts the baseline is cut into.

    Returns:
        Each value's bin, `[M]`, and how many bins there are.
    """
    edges = np.unique(np.quantile(baseline, np.arange(1, bins) / bins))
    return np.searchsorted(edges, values, "left") + np.searchsorted(edges, values, "right"), (
        2 * len(edges) + 1
    )


def jensen_shannon(first: npt.ArrayLike, second: npt.ArrayLike) -> Values:
    """Returns the Jensen-Shannon distance, 0 to 1, of histograms along the last axis.

    The square root of the divergence to base 2 (Lin, IEEE Trans. Inf. Theory 37, 1991;
    Endres and Schindelin, IEEE Trans. Inf. Theory 49, 2003). Counts are normalised.
    """
    from scipy.spatial.distance import jensenshannon

    with np.errstate(invalid="ignore"):  # equal histograms: the root of -1e-17
        found = jensenshannon(first, second, base=2.0, axis=-1)
    return np.nan_to_num(np.asarray(found, dtype=np.float64))


def kolmogorov_smirnov(baseline: Values, new: Values) -> tuple[float, float]:
    """Returns the largest difference of the two distribution functions, and its p.

    The p is that of independent images: two-sided, exact up to 10,000 images; with ties it
    is too large rather than too small.
    """
    from scipy.stats import ks_2samp

    found = ks_2samp(baseline, new)
    return float(found.statistic), float(found.pvalue)
