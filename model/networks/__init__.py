"""The networks, one a module, and the registry that builds them by name."""
