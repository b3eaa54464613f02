"""Parts of `components.drift`: samples, distances, tests by permutation, the report."""
