"""The synthetic dataset: see `components.ingestion.synthetic`."""

from components.ingestion.synthetic import generate

__all__ = ["generate"]
