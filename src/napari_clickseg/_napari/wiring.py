"""Events of the viewer and of the state, and what the controller does at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_clickseg._napari.actions import SHORTCUTS, Action
from napari_clickseg._napari.planes import walking_axis

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg._napari.controller import AnnotateController

__all__ = ["Wiring"]

_DIMS = ("current_step", "order", "ndisplay")


class Wiring:
    """Connects a controller to its viewer and state, and lets go again.

    Parameters
    ----------
    owner : AnnotateController
    """

    def __init__(self, owner: AnnotateController) -> None:
        self._owner = owner
        self._viewer, self._state = owner.viewer, owner.state
        self._keys: dict[str, Callable[[Any], None]] = {}
        self._watch_viewer()
        self._watch_state()
        for action, shortcut in SHORTCUTS.items():
            self._keys[shortcut.key] = self._key(action)
            self._viewer.bind_key(shortcut.key, self._keys[shortcut.key], overwrite=True)

    def close(self) -> None:
        """Disconnect everything and unbind the keys."""
        viewer = self._viewer
        viewer.layers.events.removed.disconnect(self._layer_removed)
        viewer.layers.selection.events.active.disconnect(self._active_changed)
        for name in _DIMS:
            getattr(viewer.dims.events, name).disconnect(self.plane_changed)
        self._state.events.disconnect()
        for key, function in self._keys.items():
            if function in viewer.keymap.values():  # a later widget may have taken it over
                viewer.bind_key(key, None)

    def _watch_viewer(self) -> None:
        viewer = self._viewer
        viewer.layers.events.removed.connect(self._layer_removed)
        viewer.layers.selection.events.active.connect(self._active_changed)
        for name in _DIMS:
            getattr(viewer.dims.events, name).connect(self.plane_changed)

    def _watch_state(self) -> None:
        owner, events = self._owner, self._state.events
        for name in ("threshold", "smooth", "fill_holes", "keep_clicked"):
            getattr(events, name).connect(owner.request)
        for name in ("shown", "opacity", "classes", "class_index"):
            getattr(events, name).connect(self._look_changed)
        for name in ("object_id", "scheme", "class_index", "classes"):
            getattr(events, name).connect(owner.objects.identity_changed)
        events.tool.connect(owner.tool.switch)
        events.probability.connect(self._probability_switched)
        events.contrast_from_layer.connect(self._image_edited)
        events.channel_axis.connect(self._channels_changed)

    def _key(self, action: Action) -> Callable[[Any], None]:
        def pressed(_: Any) -> None:
            self._owner.do(action)

        return pressed

    def plane_changed(self) -> None:
        """Show what there is on the plane that is displayed now."""
        owner, state = self._owner, self._state
        pairing = owner.pairing
        if pairing is None or pairing.image not in self._viewer.layers:
            return
        axis = walking_axis(self._viewer.dims, pairing.image, pairing.channel_axis)
        finest: Any = pairing.image.data[0] if pairing.image.multiscale else pairing.image.data
        plane = owner.displayed()
        state.planes = 1 if axis is None else int(finest.shape[axis])
        state.plane = 0 if axis is None or plane is None else plane.index[axis]
        if pairing.answered is None or pairing.answered[0] != plane:
            pairing.show_nothing()
        owner.request()

    def _layer_removed(self, event: Any) -> None:
        owner, state, layer = self._owner, self._state, event.value
        for image, pairing in list(owner.pairings.items()):
            if layer == image:
                del owner.pairings[image]
                pairing.close()
                if pairing is owner.pairing:
                    owner.let_go()
            elif pairing.forget(layer) and pairing is owner.pairing:
                owner.show_layers()
                state.probability = pairing.probability is not None
                if pairing.annotation is None or None in (pairing.positive, pairing.negative):
                    state.message = (
                        f"The layer '{layer.name}' was removed; press 'Annotate this image' to "
                        "have a new one."
                    )
        if state.region_source is not None and layer == state.region_source:
            state.region_source = None

    def _active_changed(self) -> None:
        owner, active = self._owner, self._viewer.layers.selection.active
        for pairing in owner.pairings.values():
            if active is not None and pairing is not owner.pairing and active in pairing.layers():
                owner.activate(pairing)

    def _image_edited(self) -> None:
        for pairing in self._owner.pairings.values():
            pairing.sessions.clear()
        self._owner.request()

    def _look_changed(self) -> None:
        if self._owner.pairing is not None:
            self._owner.pairing.look(self._state)

    def _probability_switched(self, on: bool) -> None:
        owner = self._owner
        if owner.pairing is not None:
            owner.pairing.show_probability(self._state, on, owner.displayed())

    def _channels_changed(self) -> None:
        if self._owner.pairing is not None:
            self._owner.adopt(self._owner.pairing.image)
