"""The Explain widget: what a network sees, and what its mask rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import SpinBox

from napari_clickseg._napari.explain.controller import ExplainController
from napari_clickseg._napari.explain.state import ExplainState
from napari_clickseg._qt.annotate.lease import lease
from napari_clickseg._qt.parts.binding import Ties
from napari_clickseg._qt.parts.controls import breakable, button, choice, form, note
from napari_clickseg._qt.parts.dock import Dock
from napari_clickseg._qt.parts.wakeup import Wakeup

if TYPE_CHECKING:
    import napari.viewer


class ExplainWidget(Dock):
    """Explains the mask of the object that is being annotated."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._lease = lease(napari_viewer)
        self.state = ExplainState()
        wakeup = Wakeup(self._deliver)
        self.controller = ExplainController(self._lease.controller, self.state, wakeup.ring)
        self._ties = Ties(self.state)
        self.place = choice(
            "Place",
            "A stage of the encoder, or a part of the decoder: the deeper, the more of an object "
            "it takes in; the later, the nearer to the edge that is drawn.",
            [(name, name) for name in self.state.places],
        )
        self._ties.tie(self.place, "place")
        self.maps = SpinBox(label="Maps", min=1, max=256, tooltip="How many, at the most.")
        self._ties.tie(self.maps, "maps")
        does = self.controller
        self.heat_map = button(
            "Heat map", "Where the maps at this place speak for the mask (Grad-CAM).", does.heat_map
        )
        self.activations = button(
            "Activations", "The maps at this place, those that vary most first.", does.activations
        )
        self.pixels = button(
            "Pixels", "Which pixels the mask rests on (integrated gradients).", does.pixels
        )
        self.gestures = button(
            "What each click changed", "The mask with each click, and without.", does.gestures
        )
        self.stop = button("Stop", "Give up what is being explained.", does.cancel)
        self.message = note("What is shown, or what went wrong.", lines=3)
        self._form = form(
            self.place, self.maps, self.heat_map, self.activations, self.pixels, self.gestures,
            self.stop,
        )  # fmt: skip
        self.fill(self._form.native, foot=self.message.native)
        self._ties.show(self._show_places, "places")
        self._ties.show(self._show, "busy", "message")
        self.at_end(self._ties.cut, wakeup.silence, self.controller.close, self._lease.end)

    def _deliver(self) -> None:
        self.controller.deliver()

    def _show_places(self) -> None:
        with self.place.changed.blocked():
            self.place.choices = [(name, name) for name in self.state.places]
            if self.state.place in self.state.places:
                self.place.value = self.state.place

    def _show(self) -> None:
        for made in (self.heat_map, self.activations, self.pixels, self.gestures):
            made.enabled = not self.state.busy
        self.stop.enabled = self.state.busy
        self.message.value = breakable(self.state.message)
