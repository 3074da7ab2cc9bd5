"""Which images are learned from, and which are measured on."""
