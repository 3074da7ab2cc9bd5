"""What the user has made on an image, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from napari_clickseg.core.clicks import Click
from napari_clickseg.core.prompts import Prompt
from napari_clickseg.data.annotations import ObjectNote
from napari_clickseg.util.shared_tuple import SharedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_clickseg.core.gestures import DrawnBox, Gesture, Lasso, Scribble
    from napari_clickseg.core.patch import Patch
    from napari_clickseg.core.plane import Plane


@dataclass(frozen=True, slots=True)
class Mark:
    """A click as it lies in a points layer.

    Parameters
    ----------
    key : int
        Rises with every click: the order in which they were made.
    position : tuple of float
        In data pixels along every axis of the image.
    """

    key: int
    position: tuple[float, ...]
    positive: bool

    def lies_on(self, plane: Plane) -> bool:
        """Whether it is on a plane, be it outside the image."""
        return plane.locate(self.position) is not None

    def said(self, plane: Plane) -> Click | None:
        """Return the click, be it outside the image; None if it is on another plane."""
        at = plane.locate(self.position)
        return None if at is None else Click(*at, self.positive)

    def gesture(self, plane: Plane) -> Click | None:
        """Return the click; None if it is on another plane or outside the image."""
        click = self.said(plane)
        return click if click is not None and click.inside(plane.shape) else None


@dataclass(frozen=True, slots=True)
class Drawn:
    """A box, scribble or lasso on a plane.

    Parameters
    ----------
    key : int
        As a `Mark`'s: clicks and what is drawn have their turns in one order.
    plane : Plane
        That it was drawn on, and belongs to.
    shape : DrawnBox, Scribble or Lasso
        In pixels of the plane; within the image.
    """

    key: int
    plane: Plane
    shape: DrawnBox | Scribble | Lasso

    @property
    def positive(self) -> bool:
        """Whether it is on, or around, the object."""
        return self.shape.positive

    def lies_on(self, plane: Plane) -> bool:
        """Whether it was drawn on a plane."""
        return plane == self.plane

    def said(self, plane: Plane) -> Gesture | None:
        """Return what was drawn; None if it is on another plane."""
        return self.shape if plane == self.plane else None

    def gesture(self, plane: Plane) -> Gesture | None:
        """Return what was drawn, which is in the image; None if it is on another plane."""
        return self.said(plane)


AnyMark: TypeAlias = Mark | Drawn
# Of thousands of scenes, each of which may have an object more than the one before.
Objects: TypeAlias = "tuple[Accepted, ...] | SharedTuple[Accepted]"


@dataclass(frozen=True, slots=True)
class Accepted:
    """An object in the annotation layer, with what is needed to take it up again.

    `note` says how it came about.
    """

    plane: Plane
    value: int
    marks: tuple[AnyMark, ...]
    patch: Patch
    class_id: int = 1
    note: ObjectNote = field(default_factory=ObjectNote)


@dataclass(frozen=True, slots=True)
class Draft:
    """What the object being made on a plane begins with.

    Parameters
    ----------
    start : Patch, optional
        The mask.
    settled : tuple of Mark or Drawn
        What the mask answers already.
    editing : Accepted, optional
        The object that is corrected; it keeps its id.
    value : int, optional
        The id it gets where that is decided already, as when it comes from another plane.
    reading : int
        See `Prompt`.
    quiet : bool
        Nothing is shown before a click, even by a model that needs none: it was skipped.
    """

    start: Patch | None = None
    settled: tuple[AnyMark, ...] = ()
    editing: Accepted | None = None
    value: int | None = None
    reading: int = 0
    quiet: bool = False


@dataclass(frozen=True)
class Scene:
    """Everything the user has made on one image.

    Parameters
    ----------
    marks : tuple of Mark or Drawn
        Gestures on objects that are not accepted yet, in order, on all planes.
    drafts : mapping of Plane to Draft
        Never changed in place.
    object_id, next_id : int
        The id that a new object gets, and the first one that nothing has had so far. They are
        the same until the user chooses another id.
    """

    marks: tuple[AnyMark, ...] = ()
    drafts: Mapping[Plane, Draft] = field(default_factory=dict)
    objects: Objects = ()
    object_id: int = 1
    next_id: int = 1
    _prompts: dict[Plane, Prompt] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def draft(self, plane: Plane) -> Draft:
        """Return the draft on a plane; an empty one if there is none."""
        return self.drafts.get(plane, Draft())

    @property
    def clicks(self) -> tuple[Mark, ...]:
        """The marks that lie in points layers."""
        return tuple(mark for mark in self.marks if isinstance(mark, Mark))

    def on(self, plane: Plane) -> tuple[AnyMark, ...]:
        """Return the marks on a plane, in order."""
        return tuple(mark for mark in self.marks if mark.lies_on(plane))

    def prompt(self, plane: Plane) -> Prompt:
        """Return the gestures inside the image, and the start, on a plane."""
        if plane not in self._prompts:  # asked for several times at each click
            marks, draft = self.on(plane), self.draft(plane)
            settled = marks[: len(draft.settled)] == draft.settled
            n = len(_gestures(draft.settled, plane)) if settled else 0
            self._prompts[plane] = Prompt(_gestures(marks, plane), draft.start, n, draft.reading)
        return self._prompts[plane]

    def untouched(self, plane: Plane) -> bool:
        """Whether nothing was done on a plane: neither clicked, nor accepted, nor skipped."""
        quiet = self.draft(plane).quiet or any(one.plane == plane for one in self.objects)
        return not quiet and not self.prompt(plane)

    def value(self, plane: Plane, class_id: int | None = None) -> int:
        """Return the id that the object being made on a plane gets.

        A corrected object keeps its own. Any other one gets `class_id`, where ids are classes, be
        it carried here as another class or not: the user may have chosen this one since.
        """
        draft = self.draft(plane)
        if draft.editing is not None:
            return draft.editing.value
        if class_id is not None:
            return class_id
        return self.object_id if draft.value is None else draft.value

    @property
    def in_use(self) -> bool:
        """Whether there is something in the labels already with the id of a new object."""
        return self.object_id < self.next_id

    def numbered_from(self, least: int) -> Scene:
        """Return the scene with new ids from `least` on, unless the user chose an id."""
        if least <= self.next_id:
            return self
        chosen = self.object_id != self.next_id
        return replace(self, next_id=least, object_id=self.object_id if chosen else least)

    def painted(self, value: int) -> Scene:
        """Return the scene after a stroke with an id: new objects get others.

        Who paints the object that is being made goes on with it.
        """
        after = self.numbered_from(value + 1)
        return replace(after, object_id=value) if value == self.object_id else after

    def used(self, value: int) -> Scene:
        """Return the scene after a new object got an id: the next one gets the next free id."""
        following = max(self.next_id, value + 1)
        return replace(self, object_id=following, next_id=following)

    def with_marks(self, marks: Sequence[AnyMark]) -> Scene:
        """Return the scene with other marks."""
        return replace(self, marks=tuple(sorted(marks, key=lambda mark: mark.key)))

    def with_draft(self, plane: Plane, draft: Draft | None, marks: Sequence[AnyMark] = ()) -> Scene:
        """Return the scene with another draft on a plane, and `marks` for the ones there."""
        drafts = {p: d for p, d in self.drafts.items() if p != plane}
        if draft is not None and draft != Draft():
            drafts[plane] = draft
        here = set(self.on(plane))
        kept = [mark for mark in self.marks if mark not in here]
        return replace(self.with_marks([*kept, *marks]), drafts=drafts)

    def with_object(self, new: Accepted, instead_of: Accepted | None) -> Scene:
        """Return the scene with an object more, or with one replaced."""
        objects: Objects = self.objects
        if instead_of is not None:
            objects = tuple(one for one in objects if one is not instead_of)
        grown = objects if isinstance(objects, SharedTuple) else SharedTuple(objects)
        return replace(self, objects=grown.plus(new))

    def object_at(self, plane: Plane, value: int, pixel: tuple[int, int]) -> Accepted | None:
        """Return the latest object of this id on a plane, one that covers the pixel first."""
        same = [o for o in reversed(self.objects) if o.plane == plane and o.value == value]
        return next((one for one in same if one.patch.holds(*pixel)), None)


def _gestures(marks: Sequence[AnyMark], plane: Plane) -> tuple[Gesture, ...]:
    """Return what marks say that lie on a plane and inside the image."""
    return tuple(one for mark in marks if (one := mark.gesture(plane)) is not None)


def changed_marks(
    old: Sequence[Mark], positions: Sequence[tuple[float, ...]], positive: bool, key: int
) -> list[Mark]:
    """Work out what a user did to a points layer: marks keep their turn as far as possible.

    Parameters
    ----------
    old : sequence of Mark
        What the layer held, in the layer's order.
    positions : sequence of tuple of float
        What it holds now.
    positive : bool
        The layer's polarity.
    key : int
        For the first new mark.

    Returns
    -------
    list of Mark
        In the layer's order.
    """
    if len(positions) == len(old):  # moved
        return [
            mark if mark.position == at else replace(mark, position=at)
            for mark, at in zip(old, positions, strict=True)
        ]
    left = list(old)
    out = []
    for at in positions:
        same = next((mark for mark in left if mark.position == at), None)
        if same is not None:
            left.remove(same)
            out.append(same)
        else:
            out.append(Mark(key, at, positive))
            key += 1
    return out
