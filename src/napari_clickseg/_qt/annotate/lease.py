"""One controller for each viewer, however many widgets show it."""

from __future__ import annotations

from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from napari.utils.notifications import show_info
from qtpy.QtCore import QTimer

from napari_clickseg._napari.annotate.controller import AnnotateController
from napari_clickseg._napari.annotate.loading import load
from napari_clickseg._napari.annotate.settings import new_state, remember
from napari_clickseg._napari.folder.controller import FolderController
from napari_clickseg._napari.project.saver import Saver
from napari_clickseg._napari.viewer.layers import unwrapped
from napari_clickseg._napari.viewer.private import is_playing, window_of
from napari_clickseg._napari.viewer.settings import runs_home
from napari_clickseg._qt.annotate.crosshair_mark import CrosshairMark
from napari_clickseg._qt.annotate.drawn_lines import DrawnLines, PickedLines
from napari_clickseg._qt.parts import folders
from napari_clickseg._qt.parts.closing import ClosingGuard
from napari_clickseg._qt.parts.wakeup import Wakeup
from napari_clickseg.models.trained_models import TrainedModels
from napari_clickseg.runs.home import default_home

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.engine.segmenter import Segmenter

_REST = 60  # milliseconds without a move, after which the pointer rests
_MOMENT = 100  # milliseconds of a running event loop: the widget is drawn by then


class Lease:
    """The right to use the controller of a viewer; the last one that ends closes it."""

    def __init__(self, shared: _Shared) -> None:
        self._shared: _Shared | None = shared
        self.controller, self.folder = shared.controller, shared.folder
        shared.users += 1

    @property
    def last(self) -> bool:
        """Whether nobody else uses the controller."""
        return self._shared is not None and self._shared.users == 1

    def end(self) -> None:
        """Give the right back; safe to call again."""
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.users -= 1
            if shared.users == 0:
                shared.close()


class _Shared:
    """A controller, and what brings its results to the main thread."""

    def __init__(self, viewer: Any) -> None:
        self.users = 0
        self.wakeup = Wakeup(self._deliver)
        self._seen = Event()
        QTimer.singleShot(_MOMENT, self._seen.set)
        self.saver = _saver_of(viewer)
        self.controller = AnnotateController(
            viewer,
            notify=self.wakeup.ring,
            state=new_state(),
            load=self._load,
            # Not within the key's own event: a folder may be asked for.
            save=lambda: QTimer.singleShot(0, self._save),
            trained=TrainedModels(runs_home()),
            home=default_home(),
        )
        self.saver.say = self._say
        self.folder = FolderController(
            viewer, self.controller, default_home(), _asking(viewer), notify=self.wakeup.ring
        )
        state = self.controller.state
        self.lines = DrawnLines(viewer, state)
        self.chosen = PickedLines(viewer, state)
        self.mark = CrosshairMark(viewer, state)
        self._rest = QTimer()
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST)
        self._rest.timeout.connect(self._rested)
        self.controller.tool.hovered.connect(self._moved)
        self.closed = False

    def close(self) -> None:
        """Save the user's choices and close the controller."""
        self.closed = True
        self.wakeup.silence()
        self.lines.end()
        self.chosen.end()
        self.mark.end()
        with suppress(RuntimeError):  # Qt is gone already: napari was quit
            self._rest.stop()
        self._seen.set()
        self.saver.say = show_info  # what is being saved is saved all the same
        self.folder.close()
        self.controller.close()
        remember(self.controller.state)

    def _load(self, model: str, device: str, half: bool) -> Segmenter:
        """Load a model once the widget is seen; runs on the worker thread.

        Importing torch takes the interpreter from the main thread for long moments, so the
        first load waits until there is something to look at.
        """
        self._seen.wait()
        return load(model, device, half)

    def _moved(self) -> None:
        self._rest.start()

    def _rested(self) -> None:
        if is_playing(unwrapped(self.controller.viewer)) or self.controller.preview.look():
            self._rest.start()

    def _deliver(self) -> None:
        self.folder.deliver()
        self.controller.deliver()

    def _save(self) -> None:
        (self.folder if self.folder.shows else self.saver).save()

    def _say(self, text: str) -> None:
        self.controller.state.message = text


def _asking(viewer: Any) -> Callable[[Path, Callable[[str], None]], None]:
    """Return what has the user say where the masks of a folder go."""
    there = ref(window_of(unwrapped(viewer)))

    def ask(folder: Path, then: Callable[[str], None]) -> None:
        title = f"Where shall masks of “{folder.name}” be kept? Nothing is written among the images"
        # Not within what delivers results: the dialog goes on for as long as the user likes.
        QTimer.singleShot(0, lambda: then(folders.choose_or_make_folder(there(), title)))

    return ask


# What saves and what asks before closing stay when the widget is closed: what is not saved, too.
_savers: WeakKeyDictionary[Any, Saver] = WeakKeyDictionary()


def _saver_of(viewer: Any) -> Saver:
    """Return what saves in a viewer; with the first one, its window begins to ask."""
    key = unwrapped(viewer)
    if key not in _savers:
        window = window_of(key)
        there = ref(window)  # which holds the viewer, and that this entry
        wakeup = Wakeup(lambda: saver.deliver())

        def ask() -> str:
            title = "In which folder shall the project be made?"
            return folders.choose_or_make_folder(there(), title)

        _savers[key] = saver = Saver(viewer, ask, wakeup.ring)
        ClosingGuard(window, saver)
    return _savers[key]


_open: WeakKeyDictionary[Any, _Shared] = WeakKeyDictionary()


def in_use(viewer: Any) -> AnnotateController | None:
    """Return the controller of a viewer where a widget uses one; none is made for it."""
    shared = _open.get(unwrapped(viewer))
    return None if shared is None or shared.closed else shared.controller


def lease(viewer: Any) -> Lease:
    """Get the controller of a viewer; it is made for the first widget.

    Parameters
    ----------
    viewer : Viewer
        Or napari's proxy of it.
    """
    key = unwrapped(viewer)  # a proxy is made anew for every widget
    shared = _open.get(key)
    if shared is None or shared.closed:
        shared = _open[key] = _Shared(viewer)
    return Lease(shared)
