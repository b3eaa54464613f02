"""A simulated month of the demo recipe; see `python -m scripts.soak --help`."""
