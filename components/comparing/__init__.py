"""The parts of `components.data_diff`."""
