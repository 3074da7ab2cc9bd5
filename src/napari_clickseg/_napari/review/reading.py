"""Reading what is to be reviewed: the queue of a project, and one image of it.

All of this runs on worker threads.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.review.drafts import Correction, DraftFile, drafts_of
from napari_clickseg._napari.review.state import ANNOTATED, QueueCounts, QueueRow
from napari_clickseg._napari.review.text import drafted_text
from napari_clickseg._napari.viewer.colours import colour_of
from napari_clickseg._napari.viewer.metadata import Origin
from napari_clickseg.core.source import ImageError
from napari_clickseg.data.annotations import Annotations, read_clicks
from napari_clickseg.data.classes import ProjectClass, ProjectClasses, read_classes
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.index import INDEX
from napari_clickseg.data.inspection.findings import inspect_project, measure
from napari_clickseg.data.masks import file_digest, read_labels
from napari_clickseg.data.names import record_name
from napari_clickseg.data.project import Record, Unannotated, read_folder, read_project
from napari_clickseg.data.review import ACCEPTED, REJECTED, TO_REVIEW, prediction_notes
from napari_clickseg.data.review_table import TABLE, read_reviews

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.data.project import Project
    from napari_clickseg.data.review import Review

_ENOUGH = 8  # masks that say what ids mean, where a project does not


@dataclass(frozen=True, eq=False, slots=True)
class Opened:
    """An image of the queue, as it is shown.

    Parameters
    ----------
    image : str
        As in `Record.name`.
    pixels : array (Y, X), (Y, X, 3) or (C, Y, X)
    rgb : bool
    channels : int
        How many have an axis of their own; 0 if there is none.
    limits : (float, float)
        The least and the greatest value, between which it is drawn.
    shown : Correction
        The prediction, the mask, or what the user had made of it.
    base : str
        `masks.file_digest` of its mask; empty if it has none.
    file : DraftFile
        Where corrections are kept.
    other : int (Y, X), optional
        What the user had made of it before it got its mask from elsewhere, or elsewhere.
    origin : Origin
    state : str
        As in `QueueRow`.
    complete : bool, optional
        As in `Record`.
    notice : str
        What the user has to know of corrections that were kept; empty if there is nothing.
    """

    image: str
    pixels: npt.NDArray[Any]
    rgb: bool
    channels: int
    limits: tuple[float, float]
    shown: Correction
    base: str
    file: DraftFile
    other: npt.NDArray[Any] | None
    origin: Origin
    state: str
    complete: bool | None = None
    notice: str = ""


class QueueReader:
    """Reads the queue of a project again and again; what did not change costs next to nothing.

    Parameters
    ----------
    home, folder : Path
        As in `DraftFile`.
    """

    def __init__(self, home: Path, folder: Path) -> None:
        self.folder = folder
        self._home = home
        self._seen: tuple[Any, ...] = ()

    def look(self) -> tuple[QueueCounts, tuple[QueueRow, ...]] | None:
        """Return what there is; None if nothing is new.

        Raises
        ------
        ProjectError
            If it is no project, or can't be understood.
        """
        now = self._stamp()
        if now == self._seen:
            return None
        rows = read_folder(self.folder).rows
        masks = {row.image: bool(row.mask) for row in rows}
        reviews = read_reviews(self.folder / TABLE)
        states = {
            image: self._state(review, masks[image])
            for image, review in reviews.items()
            if image in masks
        }
        drafts = drafts_of(self._home, self.folder, states)
        queue = [
            QueueRow(image, reviews[image].uncertainty, state, image in drafts)
            for image, state in states.items()
            if state
        ]
        self._seen = now
        return _counts(masks, states), _ordered(queue, reviews)

    def forget(self) -> None:
        """Have the next look read everything again."""
        self._seen = ()

    def _stamp(self) -> tuple[Any, ...]:
        """Return what changes whenever something is written."""
        folders = ("images", "masks") if not (self.folder / INDEX).is_file() else ()
        return tuple(_stat(self.folder / name) for name in (INDEX, TABLE, *folders))

    def _state(self, review: Review, masked: bool) -> str:
        """Return the state of an image; empty if it has to be predicted once more."""
        if masked:
            return ACCEPTED if review.state == ACCEPTED else ANNOTATED
        if review.state == TO_REVIEW and (self.folder / review.prediction).is_file():
            return TO_REVIEW
        return REJECTED if review.state == REJECTED else ""


def _stat(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _counts(masks: Mapping[str, bool], states: Mapping[str, str]) -> QueueCounts:
    n = Counter(states.values())
    masked = sum(masks.values())
    seen = n[TO_REVIEW] + n[REJECTED]
    return QueueCounts(
        masked - n[ACCEPTED], n[ACCEPTED], n[TO_REVIEW], n[REJECTED], len(masks) - masked - seen
    )


def _ordered(queue: list[QueueRow], reviews: Mapping[str, Review]) -> tuple[QueueRow, ...]:
    waiting = [row for row in queue if row.state == TO_REVIEW]
    rest = [row for row in queue if row.state != TO_REVIEW]
    waiting.sort(key=lambda row: (-row.uncertainty, row.image))
    rest.sort(key=lambda row: (reviews[row.image].when, row.image), reverse=True)
    return (*waiting, *rest)


@dataclass(slots=True)
class Reader:
    """Reads single images.

    Parameters
    ----------
    home : Path
        As in `DraftFile`.
    """

    home: Path
    _schemes: dict[Path, str] = field(default_factory=dict)
    _untaken: DraftFile | None = None

    def taken(self, opened: Opened) -> None:
        """Note that an image is shown: its draft is let go of by whoever shows it."""
        if self._untaken is opened.file:
            self._untaken = None

    def open(
        self, folder: Path, image: str, held: Correction | None = None, held_base: str = ""
    ) -> Opened:
        """Read an image, with the mask, the prediction, or what the user had made of it.

        Parameters
        ----------
        folder : Path
            Of the project.
        image : str
            As in `Record.name`.
        held : Correction, optional
            What the user had made of it, where that could not be written.
        held_base : str
            `masks.file_digest` of the mask that it corrects; empty if there was none.

        Raises
        ------
        ProjectError, ImageError
            If it can't be shown.
        """
        project = read_project(folder)
        every: list[Record | Unannotated] = [*project.records, *project.unannotated]
        entry = next((each for each in every if each.name == image), None)
        if entry is None:
            raise ProjectError(f"{folder} has no image {image} any more.")
        plane = read_plane(entry.image)
        pixels = plane.read_all()
        channels = 0 if plane.rgb or pixels.ndim == 2 else pixels.shape[2]
        review = read_reviews(folder / TABLE).get(image)
        found, base, state = self._found(project, entry, review, pixels.shape[:2])
        file, shape = self._draft(folder, image, base), found.labels.shape
        file.begin(found.labels)
        shown, other = file.load(shape) or found, None
        if held is not None and held_base == base:
            shown = held
        elif held is not None:
            other = held
        elif not file.is_second:
            other = file.beside(shape)
        if other is None and base:
            other = DraftFile(self.home, folder, image).load(shape)
        return Opened(
            image,
            np.ascontiguousarray(np.moveaxis(pixels, -1, 0)) if channels else pixels,
            plane.rgb,
            channels,
            _limits(pixels),
            replace(shown, classes=self._classes(project, found, shown)),
            base,
            file,
            None if other is None else other.labels,
            _origin(project, entry, channels),
            state,
            entry.complete,
            drafted_text(file.is_second, file.broken),
        )

    def _draft(self, folder: Path, image: str, base: str) -> DraftFile:
        """Return the draft of an image, claimed, and let go of one that was never shown."""
        if self._untaken is not None:  # the user went on before
            self._untaken.let_go()
        self._untaken = file = DraftFile(self.home, folder, image, base)
        file.claim()
        return file

    def _found(
        self,
        project: Project,
        entry: Record | Unannotated,
        review: Review | None,
        shape: tuple[int, ...],
    ) -> tuple[Correction, str, str]:
        """Return what is there without the user's corrections, its digest, and its state."""
        if isinstance(entry, Record):
            state = ACCEPTED if review is not None and review.state == ACCEPTED else ANNOTATED
            notes = read_clicks(entry.clicks) if entry.clicks is not None else Annotations()
            labels = _editable(entry.mask, shape)
            return Correction(labels, notes), file_digest(entry.mask), state
        if review is None or review.state == REJECTED:
            return Correction(np.zeros(shape, np.uint16)), "", REJECTED
        labels, notes = _editable(project.folder / review.prediction, shape), Annotations()
        with contextlib.suppress(ProjectError):  # without it the objects have no scores
            notes = prediction_notes(project.folder, review)
        return Correction(labels, notes), "", TO_REVIEW

    def _classes(
        self, project: Project, found: Correction, shown: Correction
    ) -> ProjectClasses | None:
        """Return what ids mean: as the user said, as the project says, or as it looks."""
        known = shown.classes or read_classes(project.folder)
        if known is not None and known.classes:
            return known
        scheme = known.scheme if known is not None else self._scheme(project, found)
        ids = [int(i) for i in np.unique(found.labels) if i] if scheme == "classes" else []
        named = tuple(ProjectClass(id=i, name=str(i), colour=colour_of(i)) for i in ids)
        one = (ProjectClass(id=1, name="object", colour=colour_of(1)),)
        return ProjectClasses.model_validate({"scheme": scheme, "classes": named or one})

    def _scheme(self, project: Project, found: Correction) -> str:
        """Guess whether ids are objects or classes, from some masks and what was predicted."""
        pixels, _, pieces = measure(found.labels)
        if len(pieces) > len(pixels):  # an object would be in one piece
            return "classes"
        folder = project.folder
        if folder not in self._schemes:
            some = replace(project, records=project.records[:_ENOUGH])
            scheme = inspect_project(some).scheme if some.records else "instances"
            self._schemes[folder] = scheme
        return self._schemes[folder]


def _editable(path: Path, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Read labels in a dtype with room for more ids."""
    labels = read_labels(path)
    if labels.shape != tuple(shape):
        raise ImageError(
            f"{path} has the shape {labels.shape}, its image {tuple(shape)}; predict it again."
        )
    fits = int(labels.max(initial=0)) < np.iinfo(np.uint16).max
    return labels.astype(np.uint16 if fits else np.uint32)


def _limits(pixels: npt.NDArray[Any]) -> tuple[float, float]:
    """Return the ends of an image's range; they differ."""
    finite = pixels[np.isfinite(pixels)] if pixels.dtype.kind == "f" else pixels
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low, low + 1)


def _origin(project: Project, entry: Record | Unannotated, channels: int) -> Origin:
    group = "" if entry.name in project.ungrouped else entry.group
    return Origin(
        str(project.folder.resolve()),
        [record_name(entry.name)],
        [group],
        [entry.split],
        False,
        0 if channels else None,
    )
