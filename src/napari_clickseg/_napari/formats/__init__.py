"""Annotated layers go out to files of other programs, and what was saved comes back as layers."""
