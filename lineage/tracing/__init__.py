"""The index and the answers of `segtrail trace`."""
