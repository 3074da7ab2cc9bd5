"""Clicks counted by the field's protocol, and the figures of masks."""
