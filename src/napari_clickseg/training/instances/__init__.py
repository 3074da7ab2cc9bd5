"""Models that find all objects at once, each its own: what they learn from, and how well."""
