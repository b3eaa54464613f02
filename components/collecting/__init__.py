"""Parts of `segtrail gc`: what nothing refers to any more, and who still refers to what."""
