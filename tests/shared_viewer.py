"""One viewer, lent to one test after the other: napari takes seconds to make and to close one.

A test that closes it, or fails, costs the next one a new viewer. Those that need a viewer of their
own take napari's fixture `make_napari_viewer`.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from tests.garbage import leave_alone, look_through_all

if TYPE_CHECKING:
    from napari import Viewer


class SharedViewer:
    """Makes the viewer when it is first asked for, and puts it back as it was."""

    def __init__(self) -> None:
        self._viewer: Viewer | None = None
        self._patches = ExitStack()
        self._before: dict[str, Any] = {}
        self._frozen = False

    @property
    def open(self) -> bool:
        return self._viewer is not None and hasattr(self._viewer.window, "_qt_window")

    def lend(self) -> Viewer:
        if not self.open:
            self.close()
            self._make()
        viewer = self._viewer
        assert viewer is not None
        viewer.window._qt_window.activateWindow()
        viewer.window._qt_viewer.setFocus()
        return viewer

    def _make(self) -> None:
        from app_model import Application
        from napari import Viewer
        from napari._app_model._app import NapariApplication, _napari_names
        from napari._qt._qapp_model.qactions import init_qactions
        from napari._qt.qt_viewer import QtViewer
        from napari.plugins import _initialize_plugins
        from qtpy.QtWidgets import QWidget

        app = NapariApplication("shared_viewer")
        app.injection_store.namespace = _napari_names
        self._patches.callback(Application.destroy, "shared_viewer")
        # As napari's own fixture does.
        for patched in (
            patch.object(NapariApplication, "get_app_model", return_value=app),
            patch("napari._qt.threads.status_checker.StatusChecker.start", lambda *_: None),
            patch.object(QtViewer, "_get_console", lambda *_: QWidget()),
        ):
            self._patches.enter_context(patched)
        init_qactions.cache_clear()
        _initialize_plugins.cache_clear()
        self._viewer = viewer = Viewer(show=True, show_welcome_screen=False)
        window = viewer.window._qt_window
        self._before = {
            "size": window.size(),
            "docks": window.saveState(),
            "camera": viewer.scene.camera.model_dump(),
            "labels": viewer.dims.axis_labels,
            "bound": self._bound(),
        }

    def _bound(self) -> dict[str, list[Any]]:
        """Return what happens at keys and at the mouse."""
        viewer = self._viewer
        names = ("drag", "move", "wheel", "double_click")
        callbacks = {name: list(getattr(viewer, f"mouse_{name}_callbacks")) for name in names}
        return callbacks | {"keys": list(viewer.keymap)}

    def take_back(self) -> None:
        """Close what a test opened, and undo what it changed."""
        if not self.open:
            return
        from napari.settings import get_settings
        from qtpy.QtCore import QEvent
        from qtpy.QtWidgets import QApplication

        viewer, before = self._viewer, self._before
        window = viewer.window._qt_window
        viewer.window.remove_dock_widget("all")
        viewer.layers.selection.clear()  # else another layer is selected for each that goes
        viewer.layers.clear()
        QApplication.processEvents()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        viewer.dims.ndisplay = 2
        viewer.dims.axis_labels = before["labels"]
        viewer.scene.camera.update(before["camera"])
        viewer.cursor.style = "standard"
        get_settings().reset()
        viewer.theme = get_settings().appearance.theme
        window.showNormal()
        window.restoreState(before["docks"])
        window.resize(before["size"])
        QApplication.processEvents()
        assert self._bound() == before["bound"], "Keys or the mouse are still bound."
        if not self._frozen:
            # What the first test imported stays, as the window does; else napari looks through it
            # for garbage each time that a layer goes.
            leave_alone()
            self._frozen = True

    def close(self) -> None:
        from napari._qt.qt_viewer import QtViewer

        QtViewer._instances.clear()
        if self._viewer is None:
            return
        if self.open:
            viewer = self._viewer
            with patch.object(viewer.window._qt_window, "_save_current_window_settings"):
                viewer.close()
            del viewer
        self._viewer = None
        self._before = {}
        self._patches.close()
        look_through_all()
        self._frozen = False
        QtViewer._instances.clear()
