"""What the state says of the current pairing, and of what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_error

from napari_clickseg._napari.viewer.layers import full_resolution
from napari_clickseg._napari.viewer.metadata import complete_planes
from napari_clickseg.core.clicks import Click

if TYPE_CHECKING:
    from napari_clickseg._napari.annotate.context import Context


class Status:
    """Brings the state into line with the current pairing."""

    def __init__(self, context: Context) -> None:
        self._context, self._state = context, context.state
        self._last_error = ""

    def show_layers(self) -> None:
        """Bring the state's layers into line with the pairing."""
        state, pairing = self._state, self._context.pairing
        state.image = pairing.image if pairing else None
        state.annotation = pairing.annotation if pairing else None
        state.positive = pairing.positive if pairing else None
        state.negative = pairing.negative if pairing else None
        overlay = pairing.display.overlay if pairing else None
        state.prediction = overlay.layer if overlay else None

    def show_counts(self) -> None:
        """Bring the state's counts into line with what the displayed plane has of the scene."""
        state, pairing, plane = self._state, self._context.pairing, self._context.plane
        prompt = self._context.prompt()
        gestures = prompt.gestures
        state.n_positive = sum(one.positive for one in gestures)
        state.n_negative = len(gestures) - state.n_positive
        state.drawn = tuple(one for one in gestures if not isinstance(one, Click))
        state.n_objects = len(pairing.scene.objects) if pairing else 0
        state.begun = bool(prompt)
        state.can_undo = bool(pairing and pairing.timeline.can_undo)
        state.can_redo = bool(pairing and pairing.timeline.can_redo)
        draft = pairing.scene.draft(plane) if pairing and plane else None
        self.show_complete()
        state.editing = draft is not None and draft.editing is not None
        state.also = pairing.taken_before(plane) if pairing and plane else None
        if pairing is not None:
            scene = pairing.scene
            state.object_id = scene.object_id if plane is None else scene.value(plane)
            state.begun = state.begun or scene.in_use
            self.show_brush()

    def show_complete(self) -> None:
        """Show whether all objects of the displayed plane are labelled, as far as it is said."""
        pairing, plane = self._context.pairing, self._context.plane
        layer = pairing.annotation if pairing is not None else None
        if layer is None or plane is None:
            self._state.complete = None
        else:
            self._state.complete = complete_planes(layer).get(plane.index)

    def show_brush(self) -> None:
        """Have napari's brush paint the object that is being made."""
        pairing, plane = self._context.pairing, self._context.plane
        layer = pairing.annotation if pairing is not None else None
        if pairing is None or layer is None:
            return
        scene = pairing.scene
        value = (
            scene.object_id if plane is None else scene.value(plane, self._state.choice.class_id)
        )
        data: Any = full_resolution(layer)
        if layer.selected_label != value and value <= np.iinfo(np.dtype(data.dtype)).max:
            layer.selected_label = value

    def model_works(self) -> None:
        """Note that the model answered: should it fail again, that is said again."""
        self._last_error = ""

    def report(self, error: Exception) -> None:
        """Say what went wrong: in the state always, as a notification once."""
        text = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, ValueError):
            text = (
                f"The model failed: {text.rstrip('.')}. Your clicks are kept; click again or "
                "choose another model."
            )
        self._state.message = text
        if text != self._last_error:
            self._last_error = text
            show_error(text)
