"""Commands of the plugin's menu that ask something, or go to a part of the Files widget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QApplication, QFileDialog

from napari_clickseg._qt.parts.files_widget import open_files
from napari_clickseg._qt.parts.folders import choose_or_make_folder

if TYPE_CHECKING:
    import napari.viewer


def open_project(viewer: napari.viewer.Viewer) -> None:
    """Ask for the folder of a project, and open it as layers."""
    window = QApplication.activeWindow()
    folder = QFileDialog.getExistingDirectory(window, "The folder of a project")
    if folder:
        viewer.open(folder, plugin="napari-clickseg")


def sample_project(viewer: napari.viewer.Viewer) -> None:
    """Open the small generated project."""
    viewer.open_sample("napari-clickseg", "project")


def export(viewer: napari.viewer.Viewer) -> None:
    """Open the Files widget to export."""
    open_files(viewer, "Export")


def measure(viewer: napari.viewer.Viewer) -> None:
    """Open the Files widget to measure."""
    open_files(viewer, "Export")


def bring_in(viewer: napari.viewer.Viewer) -> None:
    """Open the Files widget to import."""
    open_files(viewer, "Import")


def gather(viewer: napari.viewer.Viewer) -> None:
    """Ask for a folder, and put what is annotated in the layers into a project there."""
    window = QApplication.activeWindow()
    folder = choose_or_make_folder(window, "The project to gather the layers into")
    if folder:
        open_files(viewer, "Export", folder).controller.gather_into(Path(folder))


def pictures(viewer: napari.viewer.Viewer) -> None:
    """Ask for a project and a folder, and draw pictures."""
    open_files(viewer, "Share").share.pictures.native.click()


def pack(viewer: napari.viewer.Viewer) -> None:
    """Ask for a project and a file, and pack the one into the other."""
    open_files(viewer, "Share").share.pack.native.click()


def unpack(viewer: napari.viewer.Viewer) -> None:
    """Ask for a packed project and a folder, and unpack the one into the other."""
    open_files(viewer, "Share").share.unpack.native.click()


def add_model(viewer: napari.viewer.Viewer) -> None:
    """Ask for a model's file, and whether to add it."""
    open_files(viewer, "Share").share.add.native.click()


def models(viewer: napari.viewer.Viewer) -> None:
    """Open the Files widget where models are exported and removed."""
    open_files(viewer, "Share")
