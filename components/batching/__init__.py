"""Parts of batch inference."""
