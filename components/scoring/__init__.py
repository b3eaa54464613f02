"""Scores of models that are in the store, on the present test images."""
