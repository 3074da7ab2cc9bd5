"""What goes wrong with projects."""

from __future__ import annotations


class ProjectError(ValueError):
    """A project that can't be read or written; the message says what to do."""


class AnnotatedError(ProjectError):
    """A mask that would have been replaced without anybody having asked for that."""
