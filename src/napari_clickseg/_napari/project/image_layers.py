"""An image of a project as layers: opening it, noting what was made of it, closing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels

from napari_clickseg._napari.project.correction import Correction, Pending
from napari_clickseg._napari.project.gather import annotations_of
from napari_clickseg._napari.project.pairs import LayerPair, snapshot
from napari_clickseg._napari.viewer.colours import colours_of, label_colormap
from napari_clickseg._napari.viewer.features import with_notes
from napari_clickseg._napari.viewer.layers import companion_transform, remove_layers, unwrapped
from napari_clickseg._napari.viewer.metadata import (
    ObjectClasses,
    mark_complete,
    with_classes,
    with_complete,
)
from napari_clickseg._napari.viewer.pixels import placed
from napari_clickseg._napari.viewer.planes import displayed_plane
from napari_clickseg._napari.viewer.private import unselected
from napari_clickseg.data.annotations import ProjectClick
from napari_clickseg.data.names import record_name
from napari_clickseg.journal.scene import Accepted, Draft, Scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers.base import Layer
    from napari.utils.colormaps import CyclicLabelColormap

    from napari_clickseg._napari.annotate.controller import AnnotateController
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.project.opened import OpenedImage
    from napari_clickseg._napari.project.pairs import PairData
    from napari_clickseg._napari.viewer.runner import Runner
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.data.annotations import Annotations

_ROOM = 0.95  # of the canvas that the image takes


class LayersError(ValueError):
    """An image that can't be shown for correction; the message says why."""


@dataclass(frozen=True, eq=False, slots=True)
class Capture:
    """What the user has made of an image by now; refers to the layer's array.

    Parameters
    ----------
    earlier : Annotations
        What was known of the objects when the image was opened.
    complete : bool, optional
        What the user says of whether all objects are labelled; None: what the project says.
    """

    pair: PairData
    plane: Plane
    scene: Scene
    earlier: Annotations
    complete: bool | None = None

    def correction(self) -> Correction:
        """Copy the labels and what is known of them. Runs on a worker thread."""
        labels = np.array(self.pair.read_labels(self.plane))
        notes = annotations_of(self.pair, self.plane, labels, self.earlier)
        return Correction(labels, notes, self.pair.classes, self.pending())

    def pending(self) -> Pending:
        """Return what is not in the labels yet."""
        draft = self.scene.draft(self.plane)
        said = [mark.said(self.plane) for mark in self.scene.on(self.plane)]
        return Pending(
            tuple(ProjectClick.of(one) for one in said if one is not None),
            len(draft.settled),
            draft.start,
            draft.editing.value if draft.editing is not None else None,
            draft.reading,
            self.complete,
        )


class ImageLayers:
    """The layers of an image of a project, set up for annotation by clicks.

    Parameters
    ----------
    annotate : AnnotateController
        Of the same viewer.
    """

    hint = "Click on an object or drag a box around it; right click what is wrong."

    def __init__(
        self, viewer: ViewerModel, annotate: AnnotateController, opened: OpenedImage
    ) -> None:
        self._viewer, self._annotate = viewer, annotate
        self._colours: tuple[str, ...] = ()
        self._take(opened)
        self._axis = 0 if opened.channels else None
        name = record_name(opened.image)
        common: dict[str, Any] = {"axis_labels": ("channel", "y", "x")} if opened.channels else {}
        common |= placed(opened.pixel_size, "CYX" if opened.channels else "YX")
        if not opened.rgb:
            common["contrast_limits"] = opened.limits
        self.layer = Image(
            opened.pixels,
            name=name,
            rgb=opened.rgb,
            metadata=opened.origin.as_metadata(),
            **common,
        )
        self.labels = self._make_labels(opened.shown, f"{name} annotation")
        self._show_complete(opened)
        self._pairing: Pairing | None = None
        self._extra: list[Labels] = []
        if opened.other is not None:
            other = Correction(opened.other, classes=opened.shown.classes)
            self._extra = [self._make_labels(other, f"{name} your corrections")]

    def _take(self, opened: OpenedImage) -> None:
        self.image, self.state, self.base = opened.image, opened.state, opened.base
        self._notes, self._complete = opened.shown.notes, opened.complete

    def _metadata(self, shown: Correction) -> dict[str, Any]:
        """Return what is said with the labels."""
        said = with_classes(shown.classes, ObjectClasses(shown.notes.classes))
        return said | with_notes(shown.notes.objects)

    def open(self, shown: Correction) -> None:
        """Put the layers into the viewer, and have clicks correct them.

        Raises
        ------
        LayersError
            If that is not possible; then there are no layers.
        """
        viewer, annotate = self._viewer, self._annotate
        with unselected(viewer):
            for layer in (self.layer, *self._extra, self.labels):
                viewer.layers.append(layer)
        for layer in self._extra:
            layer.visible = False
        self._show_plane()
        viewer.layers.selection.active = self.labels
        with annotate.state.events.channel_axis.blocked():
            annotate.state.channel_axis = self._axis
        annotate.adopt(self.layer, annotation=self.labels)
        self._pairing = self.pairing
        if self._pairing is None:
            self.take_away()
            raise LayersError(annotate.state.message)
        self._begin(shown.pending)

    def show(self) -> bool:
        """Show the image once more; return whether all its layers are still there."""
        pairing = self.activate()
        if pairing is None or any(layer not in self._viewer.layers for layer in self.layers()):
            return False
        if None in (pairing.annotation, pairing.positive, pairing.negative):
            return False
        self._show_plane()
        return pairing.displayed() is not None

    def turn(self, opened: OpenedImage) -> bool:
        """Show another image in the same layers, which is far quicker than new ones.

        Returns
        -------
        bool
            Whether that was possible: it is for an image of the same shape and kind.
        """
        pairing, annotate = self.activate(), self._annotate
        if pairing is None or not self._fits(opened, pairing):
            return False
        history = getattr(self.labels, "_reset_history", None)
        if history is None:  # else undo would put the last image's labels into this one
            return False
        before = record_name(self.image)
        self._take(opened)
        annotate.answers.forget()
        pairing.begin_anew()
        self.layer.data = opened.pixels
        if not opened.rgb:
            self.layer.reset_contrast_limits_range()
            self.layer.contrast_limits = opened.limits
        self._turn_labels(opened.shown)
        self._show_complete(opened)
        history()
        self.layer.metadata = opened.origin.as_metadata()
        self._rename(before, record_name(opened.image))
        annotate.identity.restore(pairing)
        annotate.identity.save_with(pairing)
        annotate.answers.request()
        self._begin(opened.shown.pending)
        return True

    def _turn_labels(self, shown: Correction) -> None:
        """Show other labels in the annotation layer; drawing it anew takes napari a while."""
        layer = self.labels
        layer.metadata = self._metadata(shown)
        colours = colours_of(shown.classes)
        if colours != self._colours:
            self._colours = colours
            layer.colormap = _colormap(colours) or Labels(np.zeros((1, 1), int)).colormap
        layer.data = np.ascontiguousarray(shown.labels).reshape(layer.data.shape)

    def _show_complete(self, opened: OpenedImage) -> None:
        """Have the layer say what the project says of completeness, or the user by now."""
        index, now = self._index, opened.shown.pending.complete
        said = {} if opened.complete is None else {index: opened.complete}
        self.labels.metadata.update(with_complete(said))
        if now is not None:
            mark_complete(self.labels, [index], now)

    def note_accepted(self, complete: bool | None) -> None:
        """Note what the project says of completeness by now; None if it says what it said."""
        self._complete = self._complete if complete is None else complete

    @property
    def _index(self) -> tuple[int, ...]:
        """The position of the plane along the axes of the labels."""
        return (0,) * int(self.labels.ndim)

    def _fits(self, opened: OpenedImage, pairing: Pairing) -> bool:
        layer = self.layer
        missing = None in (pairing.annotation, pairing.positive, pairing.negative)
        return (
            not (missing or self._extra or opened.other is not None)
            and layer in self._viewer.layers
            and layer.data.shape == opened.pixels.shape
            and layer.data.dtype == opened.pixels.dtype
            and bool(layer.rgb) == opened.rgb
            and self._annotate.context.plane is not None
        )

    def _rename(self, before: str, after: str) -> None:
        for layer in self.layers():
            if layer.name.startswith(before):
                layer.name = after + layer.name[len(before) :]

    def _begin(self, pending: Pending) -> None:
        self._restore(pending)
        self._look()
        self._annotate.state.message = self.hint

    @property
    def pairing(self) -> Pairing | None:
        """What Annotate knows of the image; None if it was closed there."""
        known = self._annotate.pairings.get(self.layer)
        return known if known is not None and known.annotation == self.labels else None

    def activate(self) -> Pairing | None:
        """Have clicks go to this image; None if that is not possible."""
        pairing = self.pairing
        if pairing is not None and self._annotate.pairing is not pairing:
            self._annotate.activate(pairing)
        return pairing

    def layers(self) -> list[Layer]:
        """Return all layers, those that came with the correction as well."""
        made = self._pairing.layers() if self._pairing is not None else []
        own: list[Layer] = [self.layer, *self._extra, self.labels]
        return own + [unwrapped(layer) for layer in made if unwrapped(layer) not in own]

    def capture(self) -> Capture | None:
        """Note what the user has made of the image; it is quick."""
        scene = self._pairing.scene if self._pairing is not None else Scene()
        pair = LayerPair(self.layer, self.labels, self._axis, scene.objects)
        try:
            (data,) = snapshot([pair])
        except ValueError:  # the labels got another shape
            return None
        said = data.complete.get(self._index)
        complete = None if said is self._complete else said
        return Capture(data, next(data.planes()), scene, self._notes, complete)

    def take_away(self) -> None:
        """Take all layers out of the viewer."""
        # With a brush that is on, napari draws what is not there any more, and crashes.
        for layer in (self.labels, *self._extra):
            layer.mode = "pan_zoom"
        # The image first: the others are nobody's then.
        remove_layers(self._viewer, self.layers())

    def _make_labels(self, shown: Correction, name: str) -> Labels:
        shape = (1, *shown.labels.shape) if self._axis is not None else shown.labels.shape
        self._colours = colours_of(shown.classes)
        return Labels(
            np.ascontiguousarray(shown.labels).reshape(shape),
            name=name,
            metadata=self._metadata(shown),
            colormap=_colormap(self._colours),
            **companion_transform(self.layer, self._axis),
        )

    def _show_plane(self) -> None:
        dims = self._viewer.dims
        if displayed_plane(dims, self.layer, self._axis) is None:
            dims.ndisplay = 2
            dims.order = tuple(range(dims.ndim))

    def _restore(self, pending: Pending) -> None:
        """Go on with an object where it was left."""
        pairing, plane = self.pairing, self._annotate.context.plane
        if pairing is None or plane is None or not pending.has_object:
            return
        marks = tuple(pairing.mark_of(plane, click.gesture) for click in pending.clicks)
        editing = None
        if pending.editing is not None and pending.start is not None:
            class_id = self._annotate.state.current_class.identifier
            editing = Accepted(plane, pending.editing, (), pending.start, class_id)
        settled = marks[: pending.settled]
        draft = Draft(pending.start, settled, editing, reading=pending.reading)
        scene = pairing.scene
        if editing is not None:
            scene = replace(scene, objects=(*scene.objects, editing))
        pairing.set_scene(scene.with_draft(plane, draft, marks))
        self._annotate.answers.request()

    def _look(self) -> None:
        """Fill the canvas with the image."""
        size = getattr(self._viewer.canvas, "size", None)
        (*_, top, left), (*_, bottom, right) = np.asarray(self.layer.extent.world)
        high, wide = bottom - top, right - left
        if size is None or not (high > 0 and wide > 0):
            self._viewer.reset_view()
            return
        camera = self._viewer.scene.camera
        depth = camera.center[0]
        camera.center = (depth, (top + bottom) / 2, (left + right) / 2)
        camera.zoom = _ROOM * min(size[0] / high, size[1] / wide)


class LayersWatch:
    """Closes the image that is open when the user takes its layers away, after napari has.

    Parameters
    ----------
    image_layers : callable
        Returns what is open.
    close : callable
        Closes it.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        image_layers: Callable[[], ImageLayers | None],
        close: Callable[[], object],
    ) -> None:
        self._removed = viewer.layers.events.removed
        self._runner, self._image_layers, self._close = runner, image_layers, close
        self._removed.connect(self._look)

    def end(self) -> None:
        """Look no longer."""
        self._removed.disconnect(self._look)

    def _look(self, event: Any) -> None:
        image_layers = self._image_layers()
        if image_layers is None or event.value not in (image_layers.layer, image_layers.labels):
            return

        def gone() -> None:
            if self._image_layers() is image_layers:
                self._close()

        self._runner.post(gone)


def _colormap(colours: tuple[str, ...]) -> CyclicLabelColormap | None:
    """Return a colormap; None for napari's own, which tells objects apart."""
    return label_colormap(colours) if colours else None
