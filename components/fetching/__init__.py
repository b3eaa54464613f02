"""The parts of `components.fetch_data`."""
