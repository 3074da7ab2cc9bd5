"""From layers to a project folder: each annotated plane becomes a record.

First `pairs_of` and `snapshot`, on the main thread; then `gather`, on any thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_clickseg._napari.project.slide_mask import (
    SlideMask,
    file_of_plane,
    is_slide_shape,
)
from napari_clickseg.data.annotations import Annotations, ProjectClick, read_clicks
from napari_clickseg.data.chunked.slide_writer import SlideWriter
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.masks import file_digest
from napari_clickseg.data.names import safe_name
from napari_clickseg.data.paths import name_from
from napari_clickseg.data.project import Record, is_project
from napari_clickseg.data.reading.header import WHOLE
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.data.review_table import ACCEPTED, TABLE, read_reviews

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    import numpy.typing as npt

    from napari_clickseg._napari.project.pairs import PairData
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.data.project import Unannotated

    GroupBy = Literal["layer", "image"] | Callable[[PairData, Plane], str]


_OBJECTS = ProjectClasses(scheme="instances", classes=(ProjectClass(id=1, name="object"),))


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was gathered.

    Parameters
    ----------
    folder : Path
        Of the project.
    annotated : tuple of str
        Names of the records that were written.
    left_out : int
        Planes that are not annotated.
    cleared : tuple of str
        Names of the records that lost their masks, as all objects were erased.
    """

    folder: Path
    annotated: tuple[str, ...]
    left_out: int
    cleared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposed:
    """What was put into the queue of a review.

    Parameters
    ----------
    folder : Path
        Of the project.
    images : tuple of str
        Names of the images that are to be reviewed.
    annotated : int
        Images that have a mask already, which stay as they are.
    empty : int
        Planes without a labelled pixel, which are left out.
    """

    folder: Path
    images: tuple[str, ...]
    annotated: int
    empty: int


def propose(pairs: Sequence[PairData], folder: Path | str) -> Proposed:
    """Put labels that another program made into the review of a project, plane by plane.

    Runs on a worker thread. Images that are not in the project yet come into it, not annotated;
    what waits for one already is replaced, and images that have a mask are left alone. The less
    certain the labels' scores, the earlier an image comes; without scores it stands at a half.

    Parameters
    ----------
    pairs : sequence of PairData
        From `snapshot`; their labels' name is noted as the model.
    folder : Path or str
        Of a project, or empty, or not there yet.

    Raises
    ------
    ProjectError
        If nothing is labelled, ids don't mean what they do in the project, or the folder can't be
        written to.
    """
    new = not is_project(Path(folder))
    proposed: list[tuple[str, PairData, Plane]] = []
    annotated = empty = 0
    with SlideWriter.opened(folder) as writer:
        classes = _classes(pairs, writer.classes)
        classes = _OBJECTS if new and classes is None else classes
        work = _Work(writer, classes, False, True, "layer", None)
        for pair in pairs:
            for plane in pair.planes():
                labels = pair.read_labels(plane)
                if not labels.any():
                    empty += 1
                elif isinstance(there := work.keep(pair, plane, labels), Record):
                    annotated += 1
                else:
                    proposed.append((there.name, pair, plane))
    if not proposed:
        raise ProjectError(
            "All these images have a mask already, which stays as it is."
            if annotated
            else "There is nothing in these labels to be reviewed."
        )
    queue = ReviewQueue(folder)
    for name, pair, plane in proposed:
        _put_into(queue, name, pair, plane)
    return Proposed(Path(folder), tuple(name for name, *_ in proposed), annotated, empty)


def _put_into(queue: ReviewQueue, name: str, pair: PairData, plane: Plane) -> None:
    """Put the labels of a plane into the queue, with what is known of their objects."""
    labels = pair.read_labels(plane)
    ids = [int(value) for value in np.unique(labels) if value]
    classes = pair.object_classes.on(plane.index)
    notes = Annotations(
        classes={n: classes[n] for n in ids if n in classes},
        objects={n: pair.notes[n] for n in ids if n in pair.notes},
    )
    scores = [note.score for note in notes.objects.values() if note.score is not None]
    unsure = min(1.0, max(0.0, 1.0 - float(np.mean(scores)))) if scores else 0.5
    made_by = " ".join(pair.labels_name.split())[:200]
    queue.propose(name, labels, model=made_by, uncertainty=unsure, notes=notes)


def gather(
    pairs: Sequence[PairData],
    folder: Path | str,
    *,
    really_empty: bool = False,
    rest: bool = False,
    only: bool = False,
    group_by: GroupBy = "layer",
    progress: Callable[[int, int], object] | None = None,
) -> Gathered:
    """Write annotated planes into a project folder, which is made or added to.

    Runs on a worker thread. A plane whose image is in the project already, under its name, gets
    its new mask there; nothing else in the project is changed. Planes without a labelled pixel
    are left out, unless they are marked as really empty; where all objects of a plane were erased
    (`PairData.erased`), its mask in the project goes.

    Parameters
    ----------
    pairs : sequence of PairData
        From `snapshot`.
    folder : Path or str
        Of a project, or empty, or not there yet.
    really_empty : bool
        In all planes without a labelled pixel there is really nothing.
    rest : bool
        Planes that are not annotated are kept as such, for a model to predict.
    only : bool
        Records of the project that don't come from these pairs are removed, and masks of planes
        whose labels were erased; for a folder that is the program's own. What was accepted in a
        review stays all the same.
    group_by : {"layer", "image"} or callable
        What must not be split: all planes of a layer, or each plane, or what
        ``group_by(pair, plane)`` returns. Images that were opened from a project keep their group.
    progress : callable, optional
        Called with the number of planes done, and how many there are; what it raises ends the
        work between two records.

    Raises
    ------
    ProjectError
        If nothing is annotated, layers don't go together, or the folder can't be written to.
    """
    with SlideWriter.opened(folder) as writer:
        classes = _classes(pairs, writer.classes)
        accepted = _accepted(Path(folder)) if only else frozenset()
        work = _Work(writer, classes, really_empty, rest, group_by, accepted if only else None)
        total, done = sum(pair.count for pair in pairs), 0
        for pair in pairs:
            for plane in pair.planes():
                if is_slide_shape(plane.shape):
                    work.add_slide(SlideMask(pair, plane, progress))
                else:
                    work.add(pair, plane)
                done += 1
                if progress is not None:
                    progress(done, total)
        if not work.annotated and not work.cleared:
            raise ProjectError(
                "Nothing is annotated on the chosen images; outline some objects and accept them "
                "first."
            )
        if only:
            writer.keep_only({*work.annotated, *work.others, *accepted})
    return Gathered(Path(folder), tuple(work.annotated), work.left_out, tuple(work.cleared))


class _Work:
    """Adds plane after plane to a project, each under a name of its own."""

    def __init__(
        self,
        writer: SlideWriter,
        classes: ProjectClasses | None,
        really_empty: bool,
        rest: bool,
        group_by: GroupBy,
        accepted: frozenset[str] | None,
    ) -> None:
        self._writer, self._classes, self._rest = writer, classes, rest
        self._really_empty, self._group_by = really_empty, group_by
        self._accepted = accepted  # None: all masks that are there stay
        self._used: set[str] = set()
        self.annotated: list[str] = []
        self.others: list[str] = []
        self.cleared: list[str] = []
        self.left_out = 0

    def add(self, pair: PairData, plane: Plane) -> None:
        """Write a plane if it is annotated, or is to be kept all the same."""
        labels = pair.read_labels(plane)
        empty = self._really_empty or plane.index in pair.empty
        annotated = empty or bool(labels.any())
        if not annotated:
            self.left_out += 1
            if not self._rest and not pair.erased(plane):
                return
        image = _read_image(pair, plane)
        name, group, split = self._place(pair, plane, image)
        there = self._writer.find(name)
        erased = not annotated and isinstance(there, Record) and pair.erased(plane)
        if not annotated and not erased:
            if there is not None and self._stays(there):
                self.others.append(there.name)
                return
            if there is None and not self._rest:
                return
        noted = there.clicks if isinstance(there, Record) else None
        earlier = read_clicks(noted) if noted is not None else Annotations()
        known = annotations_of(pair, plane, labels, earlier)
        entry = self._writer.add(
            name,
            image,
            labels if annotated else None,
            group=group,
            split=split,
            clicks=known.clicks,
            object_classes=known.classes,
            objects=known.objects,
            really_empty=empty,
            rgb=pair.rgb,
            classes=self._classes,
            pixel_size=pair.pixel_size,
            complete=pair.complete.get(plane.index) if annotated else None,
        )
        into = self.annotated if annotated else self.cleared if erased else self.others
        into.append(entry.name)

    def add_slide(self, mask: SlideMask) -> None:
        """Write the mask of a slide, whose image is left where it is.

        Raises
        ------
        ProjectError
            If its image comes from no file, and is too large to be copied in one piece.
        """
        pair, plane, ids = mask.pair, mask.plane, mask.ids()
        empty = self._really_empty or plane.index in pair.empty
        if not (empty or ids.size or self._rest or pair.erased(plane)):
            self.left_out += 1
            return
        name, group, split = self._slide_image(pair, plane)
        there = self._writer.entry(name)
        if not (empty or ids.size):
            self.left_out += 1
            if isinstance(there, Record) and pair.erased(plane):
                self._writer.unannotate(name, file_digest(there.mask))
                self.cleared.append(name)
            elif there is not None:
                self.others.append(name)
            return
        noted = there.clicks if isinstance(there, Record) else None
        earlier = read_clicks(noted) if noted is not None else Annotations()
        known, classes = annotations_of(pair, plane, ids, earlier), self._classes
        record = self._writer.annotate_slide(
            name,
            lambda folder: mask.write(folder, ids, known, classes, name),
            known,
            group=group,
            split=split,
            classes=classes,
            pixel_size=pair.pixel_size,
            complete=pair.complete.get(plane.index),
            written=mask.rest_on,
        )
        self.annotated.append(record.name)

    def _slide_image(self, pair: PairData, plane: Plane) -> tuple[str, str, str]:
        """Return what the project calls the image of a slide, its group and its split."""
        group = _group(pair, plane, self._group_by)
        if pair.origin is not None and _is_whole(pair):
            there = self._writer.named(pair.origin.names[0])
            if there is not None:
                return there.name, there.group, there.split
        path = file_of_plane(pair)
        if path is not None:
            return name_from(self._writer.folder, path), group, ""
        image = _read_image(pair, plane)
        name, group, split = self._place(pair, plane, image)
        there = self._writer.find(name)
        entry = there or self._writer.add(
            name, image, group=group, split=split, rgb=pair.rgb, pixel_size=pair.pixel_size
        )
        return entry.name, group, split

    def keep(self, pair: PairData, plane: Plane, labels: npt.NDArray[Any]) -> Record | Unannotated:
        """Return the record of a plane's image, which is made where there is none.

        Raises
        ------
        ProjectError
            If ids are classes in the project, and the labels have others.
        """
        known = self._classes
        if known is not None and known.scheme == "classes":
            others = sorted(
                {int(n) for n in np.unique(labels)} - {0, *(c.id for c in known.classes)}
            )
            if others:
                raise ProjectError(
                    f"In this project ids are classes, but '{pair.labels_name}' has the id "
                    f"{others[-1]}, which is none of them; choose a project of objects."
                )
        image = _read_image(pair, plane)
        name, group, split = self._place(pair, plane, image)
        there = self._writer.find(name)
        return there or self._writer.add(
            name,
            image,
            None,
            group=group,
            split=split,
            rgb=pair.rgb,
            classes=known,
            pixel_size=pair.pixel_size,
        )

    def _stays(self, there: Record | Unannotated) -> bool:
        """Whether a record of a plane without labels stays as it is, with its mask if it has one.

        Labels that were erased are no annotation any more; what came from a review was never in
        the layer.
        """
        erased = isinstance(there, Record) and self._accepted is not None
        return not erased or there.name in (self._accepted or ())

    def _place(self, pair: PairData, plane: Plane, image: npt.NDArray[Any]) -> tuple[str, str, str]:
        """Return name, group and split of a plane's record."""
        origin, at = pair.origin, plane.index[0] if pair.origin and pair.origin.stacked else 0
        if origin is not None and at < len(origin.names) and _is_whole(pair):
            name, group, split = origin.names[at], origin.groups[at], origin.splits[at]
        else:
            name, group, split = _plane_name(pair, plane), _group(pair, plane, self._group_by), ""
        return self._free(safe_name(name), image, pair.rgb), group, split

    def _free(self, name: str, image: npt.NDArray[Any], rgb: bool) -> str:
        """Return a name that nothing else has: neither here, nor another image in the project."""
        candidate, number = name, 1
        while not self._may_use(candidate, image, rgb):
            number += 1
            candidate = f"{name} {number}"
        self._used.add(candidate.lower())
        return candidate

    def _may_use(self, name: str, image: npt.NDArray[Any], rgb: bool) -> bool:
        if name.lower() in self._used:
            return False
        try:
            free = self._writer.find(name) is None
        except ProjectError:  # there is one in another case
            return False
        return free or self._writer.holds(name, image, rgb=rgb)


def _accepted(folder: Path) -> frozenset[str]:
    """Return the images of a project whose masks come from a review."""
    reviews = read_reviews(folder / TABLE)
    return frozenset(name for name, review in reviews.items() if review.state == ACCEPTED)


def _is_whole(pair: PairData) -> bool:
    """Whether the planes of a pair are the images that it was opened from."""
    origin = pair.origin
    n = len(origin.names) if origin is not None and origin.stacked else 1
    last = pair.labels.ndim - 1
    return bool(pair.axes == (last - 1, last) and pair.count == n)


def _plane_name(pair: PairData, plane: Plane) -> str:
    """Return the image's name, with the position of the plane if there are several."""
    parts = [safe_name(pair.name)]
    for axis, n in enumerate(pair.labels.shape):
        if n > 1 and axis not in plane.axes:
            parts.append(str(plane.index[axis]).zfill(len(str(n - 1))))
    return "_".join(parts)


def _group(pair: PairData, plane: Plane, group_by: GroupBy) -> str:
    if callable(group_by):
        return group_by(pair, plane)
    return pair.name if group_by == "layer" else ""


def _read_image(pair: PairData, plane: Plane) -> npt.NDArray[Any]:
    if np.prod(pair.image.shape, dtype=object) * pair.image.dtype.itemsize > WHOLE:
        raise ProjectError(
            f"The image '{pair.name}' is too large to be copied into a project, and was opened "
            "from no file that the project could name; save it as one, open that, and annotate it."
        )
    try:
        return pair.read_image(plane)
    except (OSError, ValueError, LookupError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ProjectError(f"The image '{pair.name}' cannot be read: {reason}") from error


def annotations_of(
    pair: PairData, plane: Plane, labels: npt.NDArray[Any], earlier: Annotations
) -> Annotations:
    """Return clicks and classes of the objects in a plane: what is known now, else what was.

    Parameters
    ----------
    pair : PairData
        The layers, as noted.
    labels : int (Y, X)
        The ids in it.
    earlier : Annotations
        What was known before.
    """
    ids = {int(value) for value in np.unique(labels)} - {0}
    clicks = list(_clicks(pair, plane, ids))
    again = {click.object for click in clicks}
    kept = [c for c in earlier.clicks if c.object not in again and c.object in ids]
    classes = {**earlier.classes, **pair.object_classes.on(plane.index)}
    # An id may be another object in each image of a project: what the project says goes first.
    made = {one.value: one.note for one in pair.objects if one.plane == plane and one.note}
    noted = {**(pair.notes if pair.origin is None else {}), **earlier.objects, **made}
    return Annotations(
        clicks=(*kept, *clicks),
        classes={i: classes[i] for i in sorted(ids) if i in classes},
        objects={i: noted[i] for i in sorted(ids) if i in noted},
    )


def _clicks(pair: PairData, plane: Plane, ids: set[int]) -> Iterator[ProjectClick]:
    for made in pair.objects:
        if made.plane != plane or made.value not in ids:
            continue
        for mark in made.marks:
            said = mark.said(plane)
            if said is not None:
                yield ProjectClick.of(said, made.value)


def _classes(pairs: Sequence[PairData], there: ProjectClasses | None) -> ProjectClasses | None:
    """Return the classes of all layers and of the project together.

    Raises
    ------
    ProjectError
        If they contradict each other.
    """
    classes, said_by = there, "the project"
    for pair in pairs:
        new = pair.classes
        if new is None:
            continue
        by = f"the labels layer '{pair.labels_name}'"
        if classes is None:
            classes, said_by = new, by
            continue
        if new.scheme != classes.scheme:
            raise ProjectError(
                f"In {by} ids are {_meaning(new)}, in {said_by} {_meaning(classes)}; gather them "
                "into different projects."
            )
        classes = _joined(classes, new, by)
    return classes


def _meaning(classes: ProjectClasses) -> str:
    return "classes" if classes.scheme == "classes" else "objects, each with its own"


def _joined(classes: ProjectClasses, new: ProjectClasses, by: str) -> ProjectClasses:
    names = {one.id: one.name for one in classes.classes}
    more: list[ProjectClass] = []
    for one in new.classes:
        if names.get(one.id, one.name) != one.name:
            raise ProjectError(
                f"The class {one.id} is '{one.name}' in {by}, but '{names[one.id]}' elsewhere; "
                "give it the same name everywhere."
            )
        if one.id not in names:
            more.append(one)
    return classes.model_copy(update={"classes": (*classes.classes, *more)})
