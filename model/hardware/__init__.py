"""What a machine has, what training uses of it, and training on several devices or machines."""
