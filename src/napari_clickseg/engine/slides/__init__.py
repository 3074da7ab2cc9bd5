"""Slides: images of any size predicted whole, tile by tile, at the model's own zoom."""
