"""What the user points out: with the click tool, by drawing, with shapes that are there."""
