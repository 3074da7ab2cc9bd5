"""The objects of a plane as a table: what is seen of them, and what is known of them."""

from __future__ import annotations

import operator
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_clickseg._napari.viewer.features import with_notes
from napari_clickseg._napari.viewer.metadata import ObjectClasses
from napari_clickseg.core.instances.counting import ObjectRegions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_clickseg.core.plane import Plane
    from napari_clickseg.data.annotations import ObjectNote
    from napari_clickseg.journal.scene import Accepted

Column = Literal["id", "class", "area", "score", "clicks"]
COLUMNS: tuple[Column, ...] = ("id", "class", "area", "score", "clicks")
Floats = npt.NDArray[np.float64]
_KEPT = 2  # facts, of all objects each: undo goes back to those before


@dataclass(frozen=True, eq=False)
class ObjectTable:
    """The objects of a plane, a row each, by rising key.

    Parameters
    ----------
    classes : int64 (n,)
        Id of each object's class; 0 where none is known.
    scores, clicks : float64 (n,)
        As in `ObjectNote`; NaN where nothing is known.
    """

    regions: ObjectRegions = field(default_factory=ObjectRegions.none)
    classes: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    scores: Floats = field(default_factory=lambda: np.zeros(0))
    clicks: Floats = field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        return len(self.regions)

    @cached_property
    def by_class(self) -> dict[int, int]:
        """How many objects there are of each class."""
        classes, counts = np.unique(self.classes, return_counts=True)
        return dict(zip(classes.tolist(), counts.tolist(), strict=True))

    def order(self, column: Column, *, falling: bool = False) -> npt.NDArray[np.int64]:
        """Return the rows in the order of a column; what is not known comes last, either way."""
        values = {
            "id": self.regions.ids,
            "class": self.classes,
            "area": self.regions.areas,
            "score": self.scores,
            "clicks": self.clicks,
        }[column].astype(np.float64)
        unknown = values == 0 if column == "class" else np.isnan(values)
        return np.lexsort((self.regions.keys, -values if falling else values, unknown))


NO_OBJECTS = ObjectTable()


@dataclass(frozen=True, eq=False, slots=True)
class KnownObjects:
    """What is known of the objects of a plane beyond their pixels; frozen, for a worker.

    Parameters
    ----------
    made : sequence of Accepted
        Of all planes.
    notes : mapping of int to ObjectNote
        Of what was there before.
    by_class : bool
        Ids are classes.
    """

    plane: Plane
    made: Sequence[Accepted]
    earlier: ObjectClasses | None
    notes: Mapping[int, ObjectNote]
    by_class: bool


def table_of(regions: ObjectRegions, known: KnownObjects) -> ObjectTable:
    """Return the table of what was found on a plane. May run on any thread."""
    classes = np.zeros(len(regions), np.int64)
    scores, clicks = np.full(len(regions), np.nan), np.full(len(regions), np.nan)
    row_of = {key: row for row, key in enumerate(regions.keys.tolist())}
    here = [one for one in known.made if one.plane == known.plane]
    if known.by_class:
        classes[:] = regions.ids
        said = [(_piece(regions, one), one.note) for one in here]
    else:
        earlier = known.earlier.on(known.plane.index) if known.earlier is not None else {}
        made = {one.value: one.class_id for one in here}
        for value, one in _both(earlier, made):
            if value in row_of:
                classes[row_of[value]] = one
        said = [(row_of.get(value), note) for value, note in known.notes.items()]
        said += [(row_of.get(one.value), one.note) for one in here if one.note]
    for row, note in said:
        if row is not None:
            scores[row] = np.nan if note.score is None else note.score
            clicks[row] = np.nan if note.clicks is None else note.clicks
    return ObjectTable(regions, classes, scores, clicks)


def _both(*said: Mapping[int, int]) -> Iterable[tuple[int, int]]:
    for one in said:
        yield from one.items()


def _piece(regions: ObjectRegions, one: Accepted) -> int | None:
    """Return the row of the piece that an accepted object is: the one whose box holds it best."""
    box = one.patch.box
    if not box:
        return None
    top, left, bottom, right = regions.boxes.T
    high = np.minimum(bottom, box.bottom) - np.maximum(top, box.top)
    wide = np.minimum(right, box.right) - np.maximum(left, box.left)
    common = np.where((high > 0) & (wide > 0) & (regions.ids == one.value), high * wide, 0)
    return int(common.argmax()) if common.any() else None


@dataclass(frozen=True, eq=False)
class ObjectFacts:
    """The class of each object of a layer, and how it came about; what was there before included.

    Parameters
    ----------
    earlier_notes : mapping of int to ObjectNote
        Of what was there before.
    """

    earlier: ObjectClasses | None
    earlier_notes: Mapping[int, ObjectNote]
    made: Sequence[Accepted]

    @cached_property
    def classes(self) -> ObjectClasses:
        """Their classes."""
        said = ((one.plane.index, one.value, one.class_id) for one in self.made)
        return (self.earlier or ObjectClasses()).with_objects(said)

    @cached_property
    def notes(self) -> dict[int, ObjectNote]:
        """How they came about, by id; not to be changed."""
        return {**self.earlier_notes, **{one.value: one.note for one in self.made if one.note}}

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What goes beside the classes in the metadata of a labels layer."""
        return self.classes.as_metadata()

    @cached_property
    def notes_metadata(self) -> dict[str, Any]:
        """What goes into it of how they came about."""
        return with_notes(self.notes)

    def work_out(self) -> ObjectFacts:
        """Work everything out, as it takes long for thousands of objects; on any thread."""
        _ = self.classes.of_ids, self.metadata, self.notes_metadata
        return self

    def is_of(self, earlier: object, notes: object, made: object) -> bool:
        """Whether these are the facts of the very same things."""
        return self.earlier is earlier and self.earlier_notes is notes and self.made is made

    def continued(self, made: Sequence[Accepted]) -> ObjectFacts | None:
        """Return the facts of the same objects and more; None where some are others."""
        known = len(self.made)
        if not 0 < known < len(made) or not all(map(operator.is_, self.made, made)):
            return None
        more = ObjectFacts(self.classes, self.notes, made[known:])
        whole = ObjectFacts(self.earlier, self.earlier_notes, made)
        vars(whole).update(classes=more.classes, notes=more.notes)
        return whole


class ObjectFactsCache:
    """What was worked out of objects lately, so that it is not for each that is accepted.

    May be used on several threads.
    """

    def __init__(self) -> None:
        self._latest: deque[ObjectFacts] = deque(maxlen=_KEPT)

    def of(
        self,
        earlier: ObjectClasses | None,
        notes: Mapping[int, ObjectNote],
        made: Sequence[Accepted],
    ) -> ObjectFacts:
        """Return the facts of objects; as in `ObjectFacts`."""
        latest = list(self._latest)
        facts = next((one for one in latest if one.is_of(earlier, notes, made)), None)
        if facts is not None:
            return facts
        same = (one for one in latest if one.is_of(earlier, notes, one.made))
        grown = (more for one in same if (more := one.continued(made)) is not None)
        facts = next(grown, None) or ObjectFacts(earlier, notes, made)
        self._latest.appendleft(facts)
        return facts
