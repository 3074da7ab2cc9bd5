"""Objects put right by hand: split, and merged."""
