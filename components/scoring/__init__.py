"""Scores of models that are in the store, on the present test images."""

FOLDER = "scores"  # under the scratch folder, by recipe: with predicted masks
