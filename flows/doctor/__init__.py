"""What `segtrail doctor` looks at: one module a section, each check apart from the others."""
