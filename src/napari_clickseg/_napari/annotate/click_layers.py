"""The two points layers that show the clicks on an image, and in which the user edits them."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers.base import ActionType

from napari_clickseg._napari.viewer.layers import as_positions, companion_shape, unwrapped
from napari_clickseg.journal.scene import Mark, changed_marks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Points

_DONE = (ActionType.ADDED, ActionType.REMOVED, ActionType.CHANGED)


class ClickLayers:
    """Positive and negative clicks as points layers.

    Parameters
    ----------
    known : callable
        Returns the clicks of the scene.
    edited : callable
        Called with the clicks that the layers show, after the user did something to them.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        channel_axis: int | None,
        known: Callable[[], Sequence[Mark]],
        edited: Callable[[list[Mark]], object],
    ) -> None:
        self._viewer, self._image, self._channel_axis = viewer, image, channel_axis
        self._known, self._edited = known, edited
        self.positive: Points | None = None
        self.negative: Points | None = None
        self._next_key = 0
        self._writing = False  # we change a layer of ours
        self._between = False  # napari is changing a points layer
        self._newer = False  # what the points layers show is newer than the scene

    def of(self, positive: bool) -> Points | None:
        """Return the layer of a polarity."""
        return self.positive if positive else self.negative

    def hold(self, layer: Points, positive: bool) -> None:
        """Take a layer; what happens in it counts from `watch` on."""
        setattr(self, "positive" if positive else "negative", layer)

    def watch(self, positive: bool) -> None:
        """Begin to follow what the user does in a layer."""
        layer = self.of(positive)
        if layer is not None:
            layer.events.data.connect(self._points_event)
            layer.events.set_data.connect(self._points_drawn)

    def release(self, positive: bool) -> None:
        """Let go of a layer; it stays where it is."""
        layer = self.of(positive)
        if layer is not None:
            layer.events.data.disconnect(self._points_event)
            layer.events.set_data.disconnect(self._points_drawn)
        setattr(self, "positive" if positive else "negative", None)

    def new_mark(self, position: tuple[float, ...], positive: bool) -> Mark:
        """Make a mark that comes after all others."""
        return Mark(self.new_key(), position, positive)

    def new_key(self) -> int:
        """Return the key of a mark that comes after all others."""
        self._next_key += 1
        return self._next_key

    def skip_keys(self, last: int) -> None:
        """Have all marks that are made come after the one with this key."""
        self._next_key = max(self._next_key, last)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Leave the layers as they are for a while: the scene is going to follow them."""
        self._newer = True
        try:
            yield
        finally:
            self._newer = False

    def show(self) -> None:
        """Bring the layers into line with the scene."""
        if self._newer:
            return
        for layer, positive in ((self.positive, True), (self.negative, False)):
            if layer is None:
                continue
            marks = [mark.position for mark in self._known() if mark.positive == positive]
            wanted = np.array(marks, float).reshape(-1, layer.ndim)
            if np.array_equal(wanted, layer.data):
                continue
            self._writing = True
            try:
                layer.selected_data = set()
                self._assign(layer, wanted)
            finally:
                self._writing = False

    def _points_event(self, event: Any) -> None:
        if not self._writing:
            self._between = event.action not in _DONE
            if not self._between:
                self._edited(self._shown())

    def _points_drawn(self) -> None:
        # Pasting tells nobody that there are more points, but draws them.
        if not self._writing and not self._between:
            self._edited(self._shown())

    def _shown(self) -> list[Mark]:
        """Return what the layers show, as marks; those that were there keep their turn."""
        marks: list[Mark] = []
        for layer, positive in ((self.positive, True), (self.negative, False)):
            old = [mark for mark in self._known() if mark.positive == positive]
            now = [mark.position for mark in old] if layer is None else as_positions(layer.data)
            marks += changed_marks(old, now, positive, self._next_key + 1)
            self._next_key = max([self._next_key, *(mark.key for mark in marks)])
        return marks

    def _assign(self, layer: Points, data: npt.NDArray[np.float64]) -> None:
        """Set the data of a points layer, and draw it once.

        At every change of data napari draws the points four times, and the viewer works out the
        ranges of its sliders anew, twice; that takes longer than everything else that a click
        does. The ranges can't change where all points were and are within the image.
        """
        both = np.concatenate([layer.data, data])
        ends = np.asarray(companion_shape(self._image, self._channel_axis)) - 0.5
        inside = bool(((both >= -0.5) & (both <= ends)).all())
        # Neither can be had by public means; where a napari has them no more, it takes longer.
        work_out = getattr(unwrapped(self._viewer), "_on_layers_change", None)
        undrawn = getattr(unwrapped(layer), "_block_refresh", nullcontext)
        unchanged = layer.events.data.blocker(work_out) if inside and work_out else nullcontext()
        with undrawn(), unchanged:
            layer.data = data
        layer.refresh()
