"""What `components.promote` is made of."""
