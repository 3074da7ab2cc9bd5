"""Reading what is to be reviewed: the queue of a project, and one image of it.

All of this runs on worker threads.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.project.correction import Correction
from napari_clickseg._napari.project.opened import (
    Meanings,
    OpenedImage,
    editable,
    limits_of,
    plane_pixel_size,
    plane_shape,
    read_pixels,
    record_origin,
)
from napari_clickseg._napari.review.drafts import DraftFile, drafts_of
from napari_clickseg._napari.review.state import ANNOTATED, QueueCounts, QueueRow
from napari_clickseg._napari.review.text import drafted_text, slide_text
from napari_clickseg.core.source import ImageError
from napari_clickseg.data.annotations import Annotations, read_clicks
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.images import read_single_plane
from napari_clickseg.data.index import INDEX
from napari_clickseg.data.masks import file_digest
from napari_clickseg.data.project import Record, Unannotated, read_folder, read_project
from napari_clickseg.data.review import ACCEPTED, REJECTED, TO_REVIEW, is_there, prediction_notes
from napari_clickseg.data.review_table import TABLE, read_reviews
from napari_clickseg.engine.slides.cleaning import kept_rules
from napari_clickseg.util.files import stamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.core.cleanup import CleanUp
    from napari_clickseg.data.project import Project
    from napari_clickseg.data.review import Review


@dataclass(frozen=True, eq=False, slots=True)
class ShownPrediction:
    """A prediction as it is shown, without what the user corrected.

    Parameters
    ----------
    path : Path
        Of its labels.
    rules : CleanUp
        By which it was cleaned up.
    labels : int (Y, X)
        A copy.
    """

    path: Path
    rules: CleanUp
    labels: npt.NDArray[Any]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Opened(OpenedImage):
    """An image of the queue, as it is shown; its state is that of a `QueueRow`.

    Parameters
    ----------
    file : DraftFile
        Where corrections are kept.
    prediction : ShownPrediction, optional
        What waits to be reviewed; None of an image that was reviewed or annotated.
    """

    file: DraftFile
    prediction: ShownPrediction | None = None


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
        return tuple(stamp(self.folder / name) for name in (INDEX, TABLE, *folders))

    def _state(self, review: Review, masked: bool) -> str:
        """Return the state of an image; empty if it has to be predicted once more."""
        if masked:
            return ACCEPTED if review.state == ACCEPTED else ANNOTATED
        if review.state == TO_REVIEW and is_there(self.folder, review):
            return TO_REVIEW
        return REJECTED if review.state == REJECTED else ""


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


def _said_of_slide(
    folder: Path, entry: Record | Unannotated, review: Review | None
) -> ProjectError | None:
    """Return what is to be said of an image that has a prediction, and is too large for memory."""
    if review is None or not is_there(folder, review):
        return None
    plane = read_single_plane(entry.image)
    return None if plane.fits else ProjectError(slide_text(entry.name, folder / review.prediction))


def _shown_prediction(
    folder: Path, review: Review | None, stored: Correction, state: str
) -> ShownPrediction | None:
    if review is None or state != TO_REVIEW:
        return None
    path = folder / review.prediction
    return ShownPrediction(path, kept_rules(path), stored.labels.copy())


@dataclass(slots=True)
class Reader:
    """Reads single images.

    Parameters
    ----------
    home : Path
        As in `DraftFile`.
    """

    home: Path
    _meanings: Meanings = field(default_factory=Meanings)
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
        review = read_reviews(folder / TABLE).get(image)
        try:
            pixels, rgb = read_pixels(entry.image)
        except ImageError as error:
            raise _said_of_slide(folder, entry, review) or error from error
        size = plane_shape(pixels, rgb)
        stored, base, state = self._stored(project, entry, review, size)
        file, shape = self._draft(folder, image, base), stored.labels.shape
        file.begin(stored.labels)
        shown, other = file.load(shape) or stored, None
        if held is not None and held_base == base:
            shown = held
        elif held is not None:
            other = held
        elif not file.is_second:
            other = file.beside(shape)
        if other is None and base:
            other = DraftFile(self.home, folder, image).load(shape)
        channels = 0 if rgb or pixels.ndim == 2 else pixels.shape[0]
        classes = self._meanings.of(folder, stored, shown, lambda: project)
        return Opened(
            image=image,
            pixels=pixels,
            rgb=rgb,
            limits=limits_of(pixels),
            shown=replace(shown, classes=classes),
            base=base,
            file=file,
            other=None if other is None else other.labels,
            origin=record_origin(folder, entry, project.ungrouped, channels),
            state=state,
            complete=entry.complete,
            pixel_size=plane_pixel_size(entry),
            notice=drafted_text(file.is_second, file.broken),
            prediction=_shown_prediction(folder, review, stored, state),
        )

    def _draft(self, folder: Path, image: str, base: str) -> DraftFile:
        """Return the draft of an image, claimed, and let go of one that was never shown."""
        if self._untaken is not None:  # the user went on before
            self._untaken.release()
        self._untaken = file = DraftFile(self.home, folder, image, base)
        file.claim()
        return file

    def _stored(
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
            labels = editable(entry.mask, shape)
            return Correction(labels, notes), file_digest(entry.mask), state
        if review is None or review.state == REJECTED:
            return Correction(np.zeros(shape, np.uint16)), "", REJECTED
        labels, notes = editable(project.folder / review.prediction, shape), Annotations()
        with contextlib.suppress(ProjectError):  # without it the objects have no scores
            notes = prediction_notes(project.folder, review)
        return Correction(labels, notes), "", TO_REVIEW
