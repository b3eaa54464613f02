"""Asking models, storing them, and saying which one serves: TF Serving's side of segtrail."""
