"""An image with the layers that go with it, and what the user has made on it so far."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels, Points
from napari.layers.base import ActionType
from napari.utils.colormaps import DirectLabelColormap

from napari_clickseg._napari.layers import (
    TRANSFORMS,
    as_positions,
    check_companion,
    follow_transform,
    make_annotation,
    make_points,
)
from napari_clickseg._napari.overlay import Overlay
from napari_clickseg._napari.scene import Entry, Mark, Scene, Timeline, changed_marks

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers.base import Layer

    from napari_clickseg._napari.planes import Plane
    from napari_clickseg._napari.state import AnnotateState
    from napari_clickseg._napari.writes import LabelWrite
    from napari_clickseg.core.clicks import Prompt
    from napari_clickseg.segmenter import Prediction, Session

__all__ = ["Pairing"]

_SESSIONS = 8  # planes whose sessions are remembered
_DONE = (ActionType.ADDED, ActionType.REMOVED, ActionType.CHANGED)


class Pairing:
    """The layers of one image, held by reference, and the scene on it.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        Never changed.
    channel_axis : int, optional
    displayed : callable
        Returns the plane of the image that the viewer shows, if any.
    changed : callable
        Called when the user changed clicks with napari's own tools.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        channel_axis: int | None,
        displayed: Callable[[], Plane | None],
        changed: Callable[[Pairing], None],
    ) -> None:
        self.viewer, self.image, self.channel_axis = viewer, image, channel_axis
        self.annotation: Labels | None = None
        self.positive: Points | None = None
        self.negative: Points | None = None
        self.overlay: Overlay | None = None
        self.probability: Overlay | None = None
        self.scene = Scene()
        self.timeline = Timeline()
        self.sessions: OrderedDict[Plane, Session] = OrderedDict()
        self.prediction: Prediction | None = None
        self.answered: tuple[Plane, Prompt] | None = None
        self._displayed, self._changed = displayed, changed
        self._next_key = 0
        self._writing = False
        for name in TRANSFORMS:
            getattr(image.events, name).connect(self._follow)

    def complete(
        self,
        state: AnnotateState,
        *,
        annotation: Labels | None = None,
        positive: Points | None = None,
        negative: Points | None = None,
        click_size: float = 9.0,
    ) -> None:
        """Take the given layers and make those that are missing.

        Raises
        ------
        CompanionError
            If a given layer can't go with the image; then nothing is changed.
        """
        for layer in (annotation, positive, negative):
            if layer is not None:
                check_companion(layer, self.image, self.channel_axis)
        if annotation is not None or self.annotation is None:
            made = annotation or make_annotation(self.image, self.channel_axis)
            self.annotation = self._added(made)
            if annotation is not None:
                follow_transform(annotation, self.image, self.channel_axis)
        self._make_overlay(state)
        for given, is_positive in ((negative, False), (positive, True)):
            self._take_points(given, is_positive, click_size)

    def layers(self) -> list[Layer]:
        """Return the layers of the pairing that are there."""
        overlays = (self.overlay, self.probability)
        found = [
            self.image,
            self.annotation,
            self.positive,
            self.negative,
            *(overlay.layer for overlay in overlays if overlay is not None),
        ]
        return [layer for layer in found if layer is not None]

    def forget(self, layer: Layer) -> bool:
        """Let go of a layer that was removed; return whether it was one of ours."""
        if self.annotation is not None and layer == self.annotation:
            self.annotation = None
        elif self.positive is not None and layer == self.positive:
            self.positive = None
        elif self.negative is not None and layer == self.negative:
            self.negative = None
        elif self.overlay is not None and layer == self.overlay.layer:
            self.overlay = None
        elif self.probability is not None and layer == self.probability.layer:
            self.probability = None
        else:
            return False
        return True

    def close(self) -> None:
        """Let go of all layers; they stay in the viewer."""
        for name in TRANSFORMS:
            getattr(self.image.events, name).disconnect(self._follow)
        for points in (self.positive, self.negative):
            if points is not None:
                points.events.data.disconnect(self._points_changed)
        self.sessions.clear()

    # ---- the scene

    def step(self, after: Scene, plane: Plane | None, writes: tuple[LabelWrite, ...] = ()) -> None:
        """Make `after` the scene, as a step that can be undone, and show its clicks."""
        if after == self.scene and not writes:
            return
        self.timeline.add(Entry(self.scene, after, plane, writes))
        self.set_scene(after)

    def set_scene(self, scene: Scene) -> None:
        """Make `scene` the present one and show its clicks."""
        self.scene = scene
        self.show_marks()

    def new_mark(self, position: tuple[float, ...], positive: bool) -> Mark:
        """Make a mark that comes after all others."""
        self._next_key += 1
        return Mark(self._next_key, position, positive)

    def show_marks(self) -> None:
        """Bring the points layers into line with the scene."""
        for layer, positive in ((self.positive, True), (self.negative, False)):
            if layer is None:
                continue
            wanted = [mark.position for mark in self.scene.marks if mark.positive == positive]
            if wanted == as_positions(layer.data):
                continue
            self._writing = True
            try:
                data = np.array(wanted, float).reshape(-1, layer.ndim)
                layer.selected_data = set()
                layer.data = data
            finally:
                self._writing = False

    def _points_changed(self, event: Any) -> None:
        if self._writing or event.action not in _DONE:
            return
        marks: list[Mark] = []
        for layer, positive in ((self.positive, True), (self.negative, False)):
            old = [mark for mark in self.scene.marks if mark.positive == positive]
            if layer is None:
                marks += old
                continue
            now = as_positions(layer.data)
            marks += changed_marks(old, now, positive, self._next_key + 1)
            self._next_key = (
                max(self._next_key, *(m.key for m in marks)) if marks else (self._next_key)
            )
        after = self.scene.with_marks(marks)
        if after != self.scene:
            self.timeline.add(Entry(self.scene, after, self._displayed()))
            self.scene = after
            self._changed(self)

    def session(self, plane: Plane, start: Callable[[], Session]) -> Session:
        """Return the session of a plane; runs on the worker thread, the only user of sessions."""
        if plane not in self.sessions:
            self.sessions[plane] = start()
            if len(self.sessions) > _SESSIONS:
                self.sessions.popitem(last=False)
        self.sessions.move_to_end(plane)
        return self.sessions[plane]

    # ---- what is shown

    def show(self, state: AnnotateState, plane: Plane, prediction: Prediction) -> None:
        """Show a prediction."""
        if self.overlay is None:
            self._make_overlay(state)
        assert self.overlay is not None
        self.prediction = prediction
        self.overlay.show(plane, prediction.extent, prediction.class_part)
        if self.probability is not None:
            self.probability.show(plane, prediction.extent, prediction.part)

    def show_nothing(self) -> None:
        """Clear the prediction."""
        self.prediction = self.answered = None
        for overlay in (self.overlay, self.probability):
            if overlay is not None:
                overlay.clear()

    def look(self, state: AnnotateState) -> None:
        """Draw the prediction as the state says."""
        if self.overlay is None:
            return
        layer = self.overlay.layer
        layer.visible = state.shown != "hidden"
        layer.opacity = state.opacity
        layer.contour = 2 if state.shown == "contour" else 0
        layer.colormap = _colours(state)

    def show_probability(self, state: AnnotateState, on: bool, plane: Plane | None) -> None:
        """Add or remove the probability layer."""
        if not on:
            if self.probability is not None:
                layer, self.probability = self.probability.layer, None
                self.viewer.layers.remove(layer)
            return
        if self.probability is None:
            self.probability = Overlay(
                self.image, self.channel_axis, np.float32, self._make_probability
            )
            if self.prediction is not None and plane is not None:
                found = self.prediction
                self.probability.show(plane, found.extent, found.part)

    def _make_probability(self, data: npt.NDArray[Any], transform: dict[str, Any]) -> Image:
        layer = Image(
            data,
            name=f"{self.image.name} probability",
            colormap="magma",
            contrast_limits=(0, 1),
            blending="additive",
            opacity=0.7,
            **transform,
        )
        return self._added(layer, below=self.overlay.layer if self.overlay else None)

    def _make_overlay(self, state: AnnotateState) -> None:
        if self.overlay is not None:
            return

        def make(data: npt.NDArray[Any], transform: dict[str, Any]) -> Labels:
            layer = Labels(
                data,
                name=f"{self.image.name} prediction",
                colormap=_colours(state),
                opacity=state.opacity,
                **transform,
            )
            return self._added(layer, below=self.negative or self.positive)

        self.overlay = Overlay(self.image, self.channel_axis, np.uint8, make)
        self.look(state)

    def _take_points(self, given: Points | None, positive: bool, size: float) -> None:
        name = "positive" if positive else "negative"
        there: Points | None = getattr(self, name)
        if given is None and there is not None:
            return
        if there is not None:
            there.events.data.disconnect(self._points_changed)
        layer = self._added(
            given or make_points(self.image, self.channel_axis, positive=positive, size=size)
        )
        setattr(self, name, layer)
        if given is not None:
            follow_transform(layer, self.image, self.channel_axis)
            kept = [mark for mark in self.scene.marks if mark.positive != positive]
            new = [self.new_mark(at, positive) for at in as_positions(layer.data)]
            self.scene = self.scene.with_marks([*kept, *new])
        layer.events.data.connect(self._points_changed)
        self.show_marks()

    def _added(self, layer: Any, below: Layer | None = None) -> Any:
        """Put a layer into the viewer if it is not there, without changing what is selected."""
        layers = self.viewer.layers
        if layer in layers:
            return layer
        active = layers.selection.active
        if below is not None and below in layers:
            layers.insert(layers.index(below), layer)
        else:
            layers.append(layer)
        if active is not None and active in layers:
            layers.selection.active = active
        return layer

    def _follow(self) -> None:
        for layer in (self.annotation, self.positive, self.negative):
            if layer is not None:
                follow_transform(layer, self.image, self.channel_axis)
        for overlay in (self.overlay, self.probability):
            if overlay is not None:
                overlay.follow()


def _colours(state: AnnotateState) -> DirectLabelColormap:
    spec = state.classes[min(state.class_index, len(state.classes) - 1)]
    colours: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    colours[1] = spec.colour
    return DirectLabelColormap(color_dict=colours)
