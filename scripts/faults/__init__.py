"""Breaks what segtrail runs on, case by case; see `python -m scripts.faults --help`."""
