"""A folder that is gone through, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_clickseg._napari.folder.state import BEGUN, DONE, UNREADABLE
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from napari_clickseg._napari.folder.state import FolderState


def folder_text(state: FolderState) -> str:
    """Return how far a folder is, and which of its images is open."""
    if not state.folder:
        return "A folder's images one after the other; each is saved when you go on."
    states = [row.state for row in state.rows]
    parts = [f"{states.count(DONE):,} done", f"{states.count(BEGUN):,} begun"]
    if UNREADABLE in states:
        parts.append(f"{states.count(UNREADABLE):,} unreadable")
    at = next((n for n, row in enumerate(state.rows, 1) if row.image == state.current), 0)
    where = f"Image {at:,} of {len(states):,}" if at else counted(len(states), "image")
    return f"{where}: {', '.join(parts)}."
