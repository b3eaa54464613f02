"""Parts of `components.tune`: the space, the study, the trials, the report."""
