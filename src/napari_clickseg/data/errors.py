"""What goes wrong with projects."""

from __future__ import annotations

__all__ = ["ProjectError"]


class ProjectError(ValueError):
    """A project that can't be read or written; the message says what to do."""
