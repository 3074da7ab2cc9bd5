"""Painting where napari itself does not."""
