"""The report on a model: what the gate said, and the pictures behind it."""
