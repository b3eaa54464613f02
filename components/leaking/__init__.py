"""What the report of leaks is made of."""
