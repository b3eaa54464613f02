"""Scores of one image's answer against its truth, one family a module."""
