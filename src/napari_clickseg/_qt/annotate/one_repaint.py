"""A click and its answer are painted together where the answer is quick."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from napari_clickseg._qt.parts.canvas import middle
from napari_clickseg._qt.parts.controls import timer

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_clickseg._qt.annotate.form_context import FormContext
    from napari_clickseg._qt.parts.binding import Ties

_MOMENT = 100  # milliseconds: what comes so late still seems to come at once


class OneRepaint:
    """Holds the painting of the viewer for a moment after a click.

    Without a graphics card painting takes the processor from the network, which then takes three
    times as long; and what is painted is painted again a moment later.

    Parameters
    ----------
    widget : QWidget
        Within napari's window.
    """

    def __init__(self, widget: QWidget, context: FormContext) -> None:
        self._widget, self._state = widget, context.state
        self._held: QWidget | None = None
        self._timer = timer(widget, self.end, _MOMENT, once=True)

    def watch(self, ties: Ties) -> None:
        """Begin to follow the state, as long as the ties last."""
        ties.show(self._follow, "busy")

    def end(self) -> None:
        """Paint again; safe to call at any time."""
        held, self._held = self._held, None
        with suppress(RuntimeError):  # Qt is gone already: the window was closed
            if held is not None:
                held.setUpdatesEnabled(True)

    def _follow(self) -> None:
        if not self._state.busy:
            self._timer.stop()
            self.end()
        elif self._held is None and not self._timer.isActive():
            self._held = middle(self._widget)
            if self._held is not None:
                self._held.setUpdatesEnabled(False)
            self._timer.start()
