"""The rules of the gate and the statistics under them."""
