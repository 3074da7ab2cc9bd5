"""Objects edited by hand: split, and merged."""
