"""Boxes, scribbles and lassos: what is dragged over the image becomes a gesture on the object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_clickseg._napari.annotate.lines import Outline, box_outline
from napari_clickseg.core.clicks import Click, PromptError
from napari_clickseg.core.gestures import DrawnBox, Lasso, Scribble, crosses_itself

if TYPE_CHECKING:
    from napari_clickseg._napari.annotate.answers import Answers
    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.images import Images
    from napari_clickseg._napari.annotate.objects import Objects
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.pointing.click_tool import Kind
    from napari_clickseg.core.plane import Plane

    Shape = DrawnBox | Scribble | Lasso
    Point = tuple[float, float]

_ELSEWHERE = "You went elsewhere while drawing, so the {} was not used; draw it again."
_OUTSIDE = "That {} was outside the image; draw it on the image."


@dataclass(eq=False, slots=True)
class _Begun:
    """What is being drawn."""

    pairing: Pairing
    plane: Plane
    kind: Kind
    positive: bool
    points: list[Point] = field(default_factory=list)
    cut: bool = False  # it left the image

    @property
    def corners(self) -> tuple[Point, Point]:
        """Two opposite corners, as a box."""
        return self.points[0], self.points[-1]

    def add(self, point: Point) -> None:
        """Go on to a point in data pixels; a scribble has none outside the image."""
        if self.kind == "scribble" and not Click(*point).inside(self.plane.shape):
            self.cut = True
        else:
            self.points.append(point)

    def outline(self) -> Outline | None:
        """Return what there is to be seen of it; None if that is nothing."""
        if not self.points:
            return None
        if self.kind == "box":
            return box_outline(*(self._held(point) for point in self.corners))
        points = np.asarray(self.points, np.float64)
        return Outline(points, self.positive, closed=self.kind == "lasso")

    def _held(self, point: Point) -> Point:
        """Return the nearest place within the image."""
        height, width = self.plane.shape
        return min(max(point[0], -0.5), height - 0.5), min(max(point[1], -0.5), width - 0.5)

    def shape(self) -> Shape:
        """Return it as a gesture.

        Raises
        ------
        PromptError
            If it is none; the message says what to do.
        """
        if not self.points:
            raise PromptError(_OUTSIDE.format(self.kind))
        if self.kind == "scribble":
            return Scribble(tuple(self.points), self.positive)
        if self.kind == "lasso":
            return self._lasso()
        (y0, x0), (y1, x1) = self.corners
        if y0 == y1 or x0 == x1:
            raise PromptError("That box has no area; drag from one corner to the opposite one.")
        box = DrawnBox(min(y0, y1), min(x0, x1), max(y0, y1), max(x0, x1))
        try:
            return box.cut(self.plane.shape)
        except PromptError as error:
            raise PromptError(_OUTSIDE.format("box")) from error

    def _lasso(self) -> Lasso:
        if len(self.points) < 3:
            raise PromptError("The lasso goes around nothing; draw it around an area.")
        lasso = Lasso(tuple(self.points))
        try:
            lasso.cut(self.plane.shape)
        except PromptError as error:
            raise PromptError(_OUTSIDE.format("lasso")) from error
        return Lasso(tuple(self._held(point) for point in self.points), self.positive)


class Drawing:
    """Shows what is being drawn, and adds it to the object when it is finished."""

    def __init__(
        self, context: Context, images: Images, answers: Answers, objects: Objects
    ) -> None:
        self._context, self._state = context, context.state
        self._images, self._answers, self._objects = images, answers, objects
        self._begun: _Begun | None = None

    def begin(self, kind: Kind, position: tuple[float, ...], left: bool) -> None:
        """Begin to draw at a world position. A box is around the object, so a negative one is none.

        Parameters
        ----------
        kind : {"box", "scribble", "lasso"}
        left : bool
            Whether with the left button.
        """
        self.give_up()
        pointed = self._images.pointed_at(position)
        if pointed is None:
            return
        positive = left != self._state.swapped
        kind = "scribble" if kind == "box" and not positive else kind
        self._begun = _Begun(*pointed, kind, positive)
        self.go_on(position)

    def go_on(self, position: tuple[float, ...]) -> None:
        """Draw on to a world position."""
        begun = self._begun
        if begun is None:
            return
        point = begun.pairing.beside(position, begun.plane) if self._is_here(begun) else None
        if point is not None:
            begun.add(point)
            self._state.drawing = begun.outline()

    def mean(self, positive: bool) -> None:
        """Say whether what is being drawn belongs to the object; a box always does."""
        if self._begun is not None and self._begun.kind != "box":
            self._begun.positive = positive

    def give_up(self) -> None:
        """Forget what is being drawn."""
        self._begun = None
        self._state.drawing = None

    def finish(self) -> None:
        """Make what was drawn a gesture on the object; say so where it can't be one."""
        begun = self._begun
        self.give_up()
        if begun is None:
            return
        if not self._is_here(begun):
            self._state.message = _ELSEWHERE.format(begun.kind)
            return
        try:
            shape = begun.shape()
        except PromptError as error:
            self._state.message = str(error)
            return
        pairing = begun.pairing
        self._answers.in_turn(pairing, lambda: self._add(pairing, begun.plane, shape, begun.cut))

    def _is_here(self, begun: _Begun) -> bool:
        context = self._context
        return begun.pairing is context.pairing and begun.plane == context.plane

    def _add(self, pairing: Pairing, plane: Plane, shape: Shape, cut: bool) -> None:
        mark = pairing.mark_of(plane, shape)
        message = _warning(shape, cut)
        if pairing.under_review and not pairing.scene.prompt(plane) and isinstance(shape, Scribble):
            pixel = Click(*shape.points[0]).pixel
            if self._objects.take_up_instead(pairing, plane, pixel, mark):
                return
        pairing.step(pairing.scene.with_marks([*pairing.scene.marks, mark]), plane)
        self._state.message = message
        self._answers.request()


def _warning(shape: Shape, cut: bool) -> str:
    """Say what of a gesture does not count as it was drawn."""
    if cut:
        return "What was outside the image is left out of the scribble."
    if isinstance(shape, Lasso) and crosses_itself(shape.points):
        return "The lasso crosses itself; all that it goes around counts."
    return ""
