"""Events of the viewer and of the state, and what the controller does at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_clickseg._napari.annotate.pairing import Reactions
from napari_clickseg._napari.annotate.sessions import SessionMemory
from napari_clickseg._napari.viewer.actions import Action, shortcuts
from napari_clickseg._napari.viewer.keys import Keys
from napari_clickseg._napari.viewer.planes import walking_axis

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg._napari.annotate.controller import AnnotateController
    from napari_clickseg._napari.annotate.pairing import Pairing

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
        self._connected: list[tuple[Any, Callable[..., Any]]] = []
        self.reactions = Reactions(
            before_edit=lambda _: owner.propagation.cancel(),
            edited=owner.marks_edited,
            image_edited=self._image_edited,
            contrast_changed=self._contrast_changed,
            reshaped=self._reshaped,
            painted=self._painted,
            relabelled=owner.identity.survey,
            walk=owner.walk,
        )
        self._watch_viewer()
        self._watch_state()
        self._keys = Keys(
            self._viewer, {each.key: self._key(each.action) for each in shortcuts("Annotate")}
        )

    def close(self) -> None:
        """Disconnect everything and give the keys back."""
        for signal, slot in self._connected:
            signal.disconnect(slot)
        self._connected.clear()
        self._keys.give_back()

    def _connect(self, signal: Any, *slots: Callable[..., Any]) -> None:
        for slot in slots:
            signal.connect(slot)
            self._connected.append((signal, slot))

    def _watch_viewer(self) -> None:
        layers, dims = self._viewer.layers, self._viewer.dims
        self._connect(layers.events.removed, self._layer_removed)
        self._connect(layers.selection.events.active, self._active_changed)
        for name in _DIMS:
            self._connect(getattr(dims.events, name), self.plane_changed)

    def _watch_state(self) -> None:
        owner, events = self._owner, self._state.events
        for name in ("threshold", "smooth", "fill_holes", "keep_clicked"):
            self._connect(getattr(events, name), owner.request)
        for name in ("shown", "opacity", "classes", "class_index", "scheme", "click_size"):
            self._connect(getattr(events, name), self._look_changed)
        for name in ("scheme", "class_index", "classes"):
            self._connect(getattr(events, name), owner.identity.save, owner.identity.show_brush)
        self._connect(events.object_id, owner.identity.id_chosen)
        self._connect(events.tool, owner.tool.switch)
        self._connect(events.probability, self._probability_switched)
        self._connect(events.contrast_from_layer, self._contrast_switched)
        self._connect(events.channel_axis, self._channels_changed)

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
        answered = pairing.display.answered
        if answered is None or answered[0] != plane:
            pairing.display.show_nothing()
        owner.request()

    def _layer_removed(self, event: Any) -> None:
        owner, state, layer = self._owner, self._state, event.value
        if owner.pairing is not None and layer in owner.pairing.layers():
            owner.propagation.cancel()
        for image, pairing in list(owner.pairings.items()):
            if layer == image:
                self._drop(pairing, "The image was removed; your labels are still there.")
            elif pairing.forget(layer) and pairing is owner.pairing:
                owner.show_layers()
                state.probability = pairing.display.probability is not None
                if pairing.annotation is None or None in (pairing.positive, pairing.negative):
                    state.message = (
                        f"The layer '{layer.name}' was removed; press 'Annotate this image' to "
                        "have a new one."
                    )
                owner.request()
        if state.region_source is not None and layer == state.region_source:
            state.region_source = None

    def _drop(self, pairing: Pairing, message: str) -> None:
        owner = self._owner
        del owner.pairings[pairing.image]
        owner.front.restore(pairing.layers())
        current = pairing is owner.pairing
        if current:
            owner.let_go(message)
        pairing.display.show_nothing()
        pairing.close()

    def _active_changed(self) -> None:
        owner, active = self._owner, self._viewer.layers.selection.active
        if active is None or (owner.pairing is not None and active in owner.pairing.layers()):
            return
        for pairing in owner.pairings.values():
            if active in pairing.layers():
                owner.activate(pairing)
                return

    def _painted(self, pairing: Pairing, value: int) -> None:
        owner = self._owner
        owner.identity.painted(pairing, value)
        if pairing is owner.pairing:
            owner.show_counts(owner.displayed(), owner.prompt())

    def _image_edited(self, pairing: Pairing) -> None:
        pairing.sessions = SessionMemory()
        if pairing is self._owner.pairing:
            self._owner.request()

    def _contrast_changed(self, pairing: Pairing) -> None:
        if self._state.contrast_from_layer:
            self._image_edited(pairing)

    def _reshaped(self, pairing: Pairing) -> None:
        self._drop(
            pairing,
            f"The image '{pairing.image.name}' has another shape now; press 'Annotate this image' "
            "to have new layers for it.",
        )

    def _contrast_switched(self) -> None:
        for pairing in self._owner.pairings.values():
            self._image_edited(pairing)

    def _look_changed(self) -> None:
        if self._owner.pairing is not None:
            self._owner.pairing.look(self._state)

    def _probability_switched(self, on: bool) -> None:
        if self._owner.pairing is not None:
            self._owner.pairing.show_probability(on)

    def _channels_changed(self) -> None:
        pairing = self._owner.pairing
        if pairing is not None and pairing.channel_axis != self._state.channel_axis:
            self._owner.adopt(pairing.image)
