"""Objects from the shapes of a Shapes layer: each box, polygon or ellipse becomes one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from napari.utils.notifications import show_warning

from napari_clickseg._napari.viewer.layers import carried_over, full_resolution, unwrapped
from napari_clickseg.core.clicks import PromptError
from napari_clickseg.core.gestures import DrawnBox, Lasso, Scribble
from napari_clickseg.core.plane import Plane
from napari_clickseg.core.prompts import Prompt

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_clickseg._napari.annotate.answers import Answers
    from napari_clickseg._napari.annotate.classes import Identity
    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.objects import Objects
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.state import Choice
    from napari_clickseg._napari.annotate.status import Status
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg._napari.viewer.writes import LabelWrite
    from napari_clickseg.engine.segmenter import Prediction
    from napari_clickseg.journal.scene import Scene

    FloatArray = npt.NDArray[np.float64]
    Shape = DrawnBox | Scribble | Lasso

_ROUND = 48  # points of an ellipse
_SELECTING = ("select", "direct")  # tools of a Shapes layer
_LISTED = 3  # problems that the message says


@dataclass(eq=False)
class _Making:
    """Shapes on their way to objects."""

    pairing: Pairing
    layer: Shapes
    plane: Plane  # that was displayed
    before: Scene
    choice: Choice
    numbers: list[int]  # of the shapes, in the layer's order
    kinds: list[str]
    data: list[Any]
    at: int = 0
    writes: list[LabelWrite] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class ObjectsFromShapes:
    """Has shapes answered as boxes, lassos and scribbles, and accepts what is found.

    It goes on in the background, and is one step for undo. What the user does on the image
    meanwhile ends it; what was made so far stays.
    """

    def __init__(
        self,
        context: Context,
        status: Status,
        identity: Identity,
        answers: Answers,
        objects: Objects,
    ) -> None:
        self._context, self._state, self._status = context, context.state, status
        self._identity, self._answers, self._objects = identity, answers, objects
        self._batch: _Making | None = None

    def start(self, pairing: Pairing, plane: Plane) -> None:
        """Make objects of the selected shapes, or of all where none is selected."""
        self.cancel()
        layer = shapes_layer(self._context.viewer)
        if layer is None:
            self._state.message = "Select a Shapes layer whose shapes are to become objects."
            return
        if self._context.segmenter is None:
            self._state.message = "The model is not loaded yet; try again in a moment."
            return
        chosen = _chosen(layer)
        if not chosen:
            self._state.message = f"There is no shape in '{layer.name}'; draw some first."
            return
        kinds, data = [str(kind) for kind in layer.shape_type], layer.data
        self._batch = _Making(
            pairing,
            layer,
            plane,
            pairing.scene,
            self._state.choice,
            chosen,
            [kinds[n] for n in chosen],
            [np.array(data[n], np.float64) for n in chosen],
        )
        self._next()

    def cancel(self) -> None:
        """Stop; what was made so far stays, and is one step to undo."""
        if self._batch is not None:
            self._context.runner.cancel("shapes")
            self._finish(stopped=True)

    def _next(self) -> None:
        """Have the next shape answered, or finish."""
        batch = self._batch
        assert batch is not None
        self._state.shapes = batch.at, len(batch.numbers)
        if batch.at == len(batch.numbers):
            self._finish()
            return
        if not self._there(batch):
            self._finish(stopped=True)
            return
        try:
            plane, shape = self._gesture(batch)
        except ValueError as error:
            self._note(batch, str(error))
            self._context.runner.post(self._next_if_there, "shapes")
            return
        refinement = self._context.refinement()
        session_of = self._answers.opener(batch.pairing, plane)

        def work(stop: Stop) -> Prediction:
            return session_of().evaluate(Prompt((shape,)), refinement, stop=stop)

        self._context.runner.submit(
            "shapes",
            work,
            lambda prediction: self._answered(batch, plane, shape, prediction),
            lambda error: self._failed(batch, error),
        )

    def _next_if_there(self) -> None:
        if self._batch is not None:
            self._next()

    def _there(self, batch: _Making) -> bool:
        pairing = batch.pairing
        known = self._context.pairings.get(pairing.image) is pairing
        return known and pairing.annotation is not None and self._context.segmenter is not None

    def _gesture(self, batch: _Making) -> tuple[Plane, Shape]:
        """Return the present shape as a gesture, and its plane.

        Raises
        ------
        ValueError
            If it can't be one.
        """
        image, dims = batch.pairing.image, self._context.viewer.dims
        vertices = batch.data[batch.at]
        if not np.isfinite(vertices).all():
            raise PromptError("has a corner that is not a number")
        points = carried_over(vertices, batch.layer, image, dims, batch.plane.index)
        plane = _plane_of(points, batch.plane, batch.pairing.channel_axis, image)
        return plane, _shape_of(batch.kinds[batch.at], points[:, list(plane.axes)], plane)

    def _answered(self, batch: _Making, plane: Plane, shape: Shape, prediction: Prediction) -> None:
        if batch is not self._batch:
            return
        if not self._there(batch):
            self._finish(stopped=True)
            return
        pairing = batch.pairing
        try:
            if not prediction.mask_part.any():
                raise PromptError("gives an empty mask")
            # What the user is making on the plane stays as it is.
            scene, mark = pairing.scene, pairing.mark_of(plane, shape)
            alone = scene.with_draft(plane, None, [mark])
            value = alone.value(plane, batch.choice.class_id)
            after, write = self._objects.plan(
                pairing, plane, prediction, alone, value, batch.choice
            )
            pairing.write(write)
        except ValueError as error:
            self._note(batch, str(error))
        else:
            batch.writes.append(write)
            self._context.events.ahead.emit(pairing, write)
            batch.at += 1
            pairing.scene = replace(
                scene,
                objects=after.objects,
                object_id=after.object_id,
                next_id=after.next_id,
            )
        self._next()

    def _note(self, batch: _Making, why: str) -> None:
        batch.problems.append(f"Shape {batch.numbers[batch.at]} {_lowered(why)}")
        batch.at += 1

    def _failed(self, batch: _Making, error: Exception) -> None:
        if batch is not self._batch:
            return
        if isinstance(error, ValueError):
            self._note(batch, str(error))
            self._next()
            return
        self._finish(stopped=True)
        self._status.report(error)

    def _finish(self, *, stopped: bool = False) -> None:
        batch, self._batch = self._batch, None
        assert batch is not None
        pairing, state = batch.pairing, self._state
        after, pairing.scene = pairing.scene, batch.before
        pairing.step(after, batch.plane, tuple(batch.writes))
        self._identity.save_with(pairing)
        state.shapes = (0, 0)
        state.message = _report(batch, stopped)
        if len(batch.problems) > _LISTED:
            show_warning("\n".join(batch.problems))
        self._answers.request()


def shapes_layer(viewer: ViewerModel) -> Shapes | None:
    """Return the selected Shapes layer, or the only one that is visible."""
    active = viewer.layers.selection.active
    if isinstance(active, Shapes):
        return unwrapped(active)
    shapes = [layer for layer in viewer.layers if isinstance(layer, Shapes) and layer.visible]
    return unwrapped(shapes[0]) if len(shapes) == 1 else None


def _plane_of(points: FloatArray, displayed: Plane, channel_axis: int | None, image: Any) -> Plane:
    """Return the plane that points (n, ndim) lie in, in data pixels of the image."""
    index = list(displayed.index)
    shape = full_resolution(image).shape
    for axis in range(points.shape[1]):
        if axis in displayed.axes or axis == channel_axis:
            continue
        at = np.round(points[:, axis])
        if np.ptp(at) > 0:
            raise PromptError("reaches over several planes; draw it on one")
        if not 0 <= at[0] < shape[axis]:
            raise PromptError("lies outside the image")
        index[axis] = int(at[0])
    return Plane(displayed.axes, tuple(index), displayed.shape)


def _shape_of(kind: str, points: FloatArray, plane: Plane) -> Shape:
    """Return a shape's corners (n, 2), in pixels of its plane, as a gesture."""
    line = tuple((float(y), float(x)) for y, x in points)
    if kind in ("path", "line"):
        return _cut(Scribble(line), plane)
    if kind == "ellipse":
        middle, along, across = points.mean(axis=0), points[1] - points[0], points[3] - points[0]
        turn = np.linspace(0, 2 * np.pi, _ROUND, endpoint=False)[:, None]
        ring = middle + np.cos(turn) * along / 2 + np.sin(turn) * across / 2
        return _cut(Lasso(tuple((float(y), float(x)) for y, x in ring)), plane)
    ends = [sorted({round(float(v), 6) for v in points[:, axis]}) for axis in (0, 1)]
    if kind == "rectangle" and len(ends[0]) == len(ends[1]) == 2:
        return _cut(DrawnBox(ends[0][0], ends[1][0], ends[0][1], ends[1][1]), plane)
    ring = points[:-1] if np.array_equal(points[0], points[-1]) else points
    if len(np.unique(ring, axis=0)) < len(ring):
        raise PromptError("is a polygon with holes; draw its outline only")
    return _cut(Lasso(line), plane)


def _cut(shape: Shape, plane: Plane) -> Shape:
    try:
        return shape.cut(plane.shape)
    except PromptError as error:
        raise PromptError("lies outside the image") from error


def _lowered(why: str) -> str:
    """Return a reason as it goes on after the shape's number."""
    return why if why[:1].islower() else f"was left out: {why}"


def _chosen(layer: Shapes) -> list[int]:
    """Return which shapes the user chose; all where that is none.

    napari selects what was drawn last, until another shape is selected. That is nobody's choice,
    unless one of the tools is on that select.
    """
    selected = sorted(layer.selected_data)
    if selected == [layer.nshapes - 1] and str(layer.mode) not in _SELECTING:
        selected = []
    return selected or list(range(layer.nshapes))


def _report(batch: _Making, stopped: bool) -> str:
    n = len(batch.writes)
    text = f"{n} object{'' if n == 1 else 's'} from '{batch.layer.name}'"
    text = f"Stopped; {text}" if stopped else text
    if not batch.problems:
        return f"{text}."
    more = len(batch.problems) - _LISTED
    rest = f"; and {more} more" if more > 0 else ""
    return f"{text}. {'; '.join(batch.problems[:_LISTED])}{rest}."
