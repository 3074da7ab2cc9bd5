"""Commands of the plugin's menu that open no widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

from napari_clickseg._napari.viewer.private import window_of

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["open_project"]


def open_project(viewer: napari.viewer.Viewer) -> None:
    """Ask for the folder of a project, and open it as layers."""
    folder = QFileDialog.getExistingDirectory(window_of(viewer), "The folder of a project")
    if folder:
        viewer.open(folder, plugin="napari-clickseg")
