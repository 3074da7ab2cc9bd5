"""From clicks to annotated objects."""
