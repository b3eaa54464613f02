"""Segtrail: MLOps for biomedical image segmentation, with lineage that can be verified."""

__version__ = "0.1.0"
