"""Connections between the state and the widgets that show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from superqt.utils import QSignalThrottler

if TYPE_CHECKING:
    from collections.abc import Callable

    from magicgui.widgets.bases import ValueWidget
    from qtpy.QtCore import QObject

    from napari_clickseg._napari.annotate.state import AnnotateState
    from napari_clickseg._napari.explain.state import ExplainState
    from napari_clickseg._napari.folder.state import FolderState
    from napari_clickseg._napari.formats.exchange_state import ExchangeState
    from napari_clickseg._napari.review.state import ReviewState
    from napari_clickseg._napari.train.state import TrainState

    State = AnnotateState | ExchangeState | ExplainState | FolderState | ReviewState | TrainState

_PAUSE = 40  # milliseconds between two values of a slider that is dragged


class Ties:
    """Keeps widgets and fields of a state the same, until the ties are cut."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._shown: list[tuple[Any, Callable[[], None]]] = []

    def show(self, slot: Callable[[], None], *fields: str) -> None:
        """Call `slot` now, and again after every change of one of the fields."""
        for field in fields:
            signal = getattr(self._state.events, field)
            signal.connect(slot, max_args=0)
            self._shown.append((signal, slot))
        slot()

    def tie(self, widget: ValueWidget[Any], field: str, *, drag: bool = False) -> None:
        """Let a widget show a field and the user change it there.

        Parameters
        ----------
        widget : ValueWidget
            Takes every value the field may have.
        field : str
            One of the state's choices of the user.
        drag : bool
            The widget is a slider: while it is dragged, only some of its values are passed on,
            and always the last one.
        """

        def show() -> None:
            value = getattr(self._state, field)
            if widget.value != value:
                with widget.changed.blocked():
                    widget.value = value

        def write() -> None:
            setattr(self._state, field, widget.value)

        widget.changed.connect(throttled(write, widget.native) if drag else write, max_args=0)
        self.show(show, field)

    def cut(self) -> None:
        """Disconnect everything; safe to call again."""
        for signal, slot in self._shown:
            signal.disconnect(slot, missing_ok=True)
        self._shown.clear()


def throttled(act: Callable[[], None], parent: QObject) -> Callable[[], None]:
    """Return a function that acts at once, then at most every 40 ms, and once more at the end."""
    throttler = QSignalThrottler(parent=parent)
    throttler.setTimeout(_PAUSE)
    throttler.triggered.connect(act)
    return throttler.throttle
