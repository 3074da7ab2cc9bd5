"""The Files widget, opened from elsewhere at what somebody wants to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_clickseg._napari.viewer.layers import unwrapped
from napari_clickseg._napari.viewer.private import open_widget
from napari_clickseg._qt.parts.controls import button

if TYPE_CHECKING:
    from collections.abc import Callable

    from magicgui.widgets import PushButton


def open_files(viewer: Any, part: str, project: str | None = None) -> Any:
    """Open the Files widget, or bring it to the front, and return it.

    Parameters
    ----------
    part : str
        What is unfolded: a key of `FilesWidget.folds`.
    project : str, optional
        What goes out, "" for what is annotated in the layers; None leaves what is chosen there.
    """
    widget = open_widget(unwrapped(viewer), "Files")
    widget.turn_to(part, project)
    return widget


def export_button(viewer: Any, project: Callable[[], str]) -> PushButton:
    """Make a button that opens the Files widget to export, with a project filled in.

    Parameters
    ----------
    project : callable
        Returns its path, or "" for what is annotated in the layers.
    """
    return button(
        "Export…",
        "Write masks, classes and clicks for other programs, or measure: opens the Files widget.",
        lambda: open_files(viewer, "Export", project()),
    )


def pictures_button(viewer: Any, source: Callable[[], str]) -> PushButton:
    """Make a button that has pictures drawn of a project or a run.

    Parameters
    ----------
    source : callable
        Returns its path; "" where there is none.
    """

    def draw() -> None:
        if path := source():
            open_files(viewer, "Share").share.draw(path)

    return button(
        "Pictures…",
        "Draws what was found beside what is there, for papers and talks: contours, panels and "
        "animations, on a page. Asks for a folder; the Files widget shows how far it is.",
        draw,
    )
