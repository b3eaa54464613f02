"""Parts of the transform stage."""
