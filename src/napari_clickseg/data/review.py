"""What a model found in the images of a project that are not annotated, until it is reviewed.

Predictions lie in `predictions/`, never in `masks/`, and `predictions/review.csv` says what became
of each. A process may predict while the user reviews; nothing is lost if either is killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.annotations import Annotations, ObjectNote, read_clicks
from napari_clickseg.data.classes import read_classes
from napari_clickseg.data.encode import mask_suffix, storable_mask, write_labels
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.names import safe_name
from napari_clickseg.data.paths import inside, leads_out
from napari_clickseg.data.project import Record, is_project, read_folder
from napari_clickseg.data.review_table import (
    ACCEPTED,
    PREDICTIONS,
    REJECTED,
    TABLE,
    TO_REVIEW,
    Review,
    append_review,
    found_names,
    read_review_table,
    read_reviews,
    table_with,
)
from napari_clickseg.data.staging import Staged, held, mend, staging
from napari_clickseg.data.writer import ProjectWriter, mask_colours
from napari_clickseg.util.files import sweep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_clickseg.data.annotations import ProjectClick

__all__ = [
    "ACCEPTED",
    "REJECTED",
    "TO_REVIEW",
    "Review",
    "ReviewQueue",
    "is_there",
    "prediction_notes",
]

_SLIDE = ".zarr"  # how predictions of slides are called


class ReviewQueue:
    """The predictions of a project folder; may be used on any thread.

    Raises
    ------
    ProjectError
        If it is no project folder.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        if not is_project(self.folder):
            read_folder(self.folder)  # says what is missing
        self._colours = mask_colours(read_classes(self.folder))
        self._writing = threading.Lock()
        mend(self.folder)
        sweep(self.folder / PREDICTIONS)

    @cached_property
    def _stems(self) -> dict[str, str]:
        """How the prediction of each image is called."""
        return _stems([row.image for row in read_folder(self.folder).rows])

    def reviews(self) -> dict[str, Review]:
        """Return the latest state of each image that has one; see `read_reviews`."""
        return read_reviews(self.folder / TABLE)

    def problems(self) -> tuple[str, ...]:
        """Return a line on each row of the table that makes no sense, and is left out."""
        return read_review_table(self.folder / TABLE)[1]

    def waiting(self) -> tuple[Review, ...]:
        """Return what is to be reviewed, the most uncertain first; ties by the image's name.

        Images that were annotated in the meantime, and predictions whose file is gone, are not
        waiting any more.
        """
        bare = {row.image for row in read_folder(self.folder).rows if not row.mask}
        reviews = [
            review
            for review in self.reviews().values()
            if review.state == TO_REVIEW and review.image in bare and is_there(self.folder, review)
        ]
        return tuple(sorted(reviews, key=lambda review: (-review.uncertainty, review.image)))

    def path(self, review: Review) -> Path:
        """Return the file of a prediction's labels."""
        return self.folder / review.prediction

    def notes(self, review: Review) -> Annotations:
        """Return what the model said of the objects of a prediction: their scores and classes.

        Raises
        ------
        ProjectError
            If the file can't be read.
        """
        return prediction_notes(self.folder, review)

    def propose(
        self,
        image: str,
        labels: Any,
        *,
        model: str,
        uncertainty: float,
        notes: Annotations | None = None,
    ) -> Review:
        """Put a prediction into the queue, in place of an earlier one of the same image.

        Parameters
        ----------
        image : str
            As in `Unannotated.name`.
        labels : bool or int (Y, X)
            Ids.
        model, uncertainty
            As in `Review`.
        notes : Annotations, optional
            What the model says of each object.

        Raises
        ------
        ProjectError
            If there is no such image, or the files can't be written.
        """
        name = self._write(image, labels, notes)
        return self._proposed(Review(image, name, model, round(uncertainty, 6)))

    def place_of_slide(self, image: str) -> Path:
        """Return where the OME-Zarr of a slide's prediction lies; see `propose_slide`.

        Raises
        ------
        ProjectError
            If there is no such image, or predictions would lie outside of the project.
        """
        place = inside(self.folder, f"{PREDICTIONS}/{self._stem(image)}{_SLIDE}")
        place.parent.mkdir(exist_ok=True)
        return place

    def propose_slide(
        self, image: str, *, model: str, uncertainty: float, notes: Annotations | None = None
    ) -> Review:
        """Put a prediction into the queue that was written to `place_of_slide` before.

        Parameters
        ----------
        image, model, uncertainty, notes
            As in `propose`.

        Raises
        ------
        ProjectError
            As `propose`.
        """
        name = f"{PREDICTIONS}/{self._stem(image)}{_SLIDE}"
        with self._writing:
            self._write_notes(name, notes)
        return self._proposed(Review(image, name, model, round(uncertainty, 6)))

    def _proposed(self, review: Review) -> Review:
        """Add a row, and remove an earlier prediction that was of another kind."""
        review, name = self._add(review), PurePosixPath(review.prediction)
        for suffix in {".png", ".tif", _SLIDE} - {name.suffix}:
            self._remove(str(name.with_suffix(suffix)))
        if name.suffix == _SLIDE:  # which has all of it within
            for left in found_names(name):
                self._remove(left)
        return review

    def _forget(self, name: str) -> None:
        """Remove what was said of a prediction that is replaced, and what was found by it."""
        for left in (_notes_name(name), *found_names(PurePosixPath(name))):
            self._remove(left)

    def accept(
        self,
        image: str,
        labels: Any = None,
        *,
        clicks: Sequence[ProjectClick] = (),
        object_classes: Mapping[int, int] | None = None,
        objects: Mapping[int, ObjectNote] | None = None,
        complete: bool | None = None,
        replacing: str = "",
    ) -> Record:
        """Make a prediction, or what the user made of it, the image's mask.

        Parameters
        ----------
        image : str
            As in `Unannotated.name`.
        labels : bool or int (Y, X), optional
            The corrected labels; the prediction as it is by default. Nothing but 0 says that
            there is really nothing in the image. With labels an image can be accepted that was
            reviewed before: rejected, or accepted with the mask that is `replacing`.
        clicks, object_classes, complete
            As in `ProjectWriter.add`.
        objects : mapping of int to ObjectNote, optional
            As in `ProjectWriter.annotate`; of a prediction as it is, what the model said.
        replacing : str
            As in `ProjectWriter.annotate`.

        Raises
        ------
        AnnotatedError
            If it has another mask already, which is kept.
        ProjectError
            If nothing of this image is to be reviewed, or the files can't be written.
        ImageError
            If the image or the prediction can't be read.
        """
        review = self._find(image, again=labels is not None)
        mask = labels
        if labels is None:
            mask, said = read_labels(self.path(review)), self.notes(review)
            made = ObjectNote(model=review.model)
            objects = {int(one): said.objects.get(int(one), made) for one in np.unique(mask) if one}
            object_classes = said.classes if object_classes is None else object_classes
        accepted = _dated(replace(review, state=ACCEPTED))
        with ProjectWriter.opened(self.folder) as project, self._table_held():
            return project.annotate(  # the prediction stays: it may be taken back
                image,
                mask,
                clicks=clicks,
                object_classes=object_classes,
                objects=objects,
                complete=complete,
                replacing=replacing,
                also=lambda staged: self._put(staged, accepted),
            )

    def reject(self, image: str) -> Review:
        """Put a prediction aside: the image stays as it is, not annotated.

        Raises
        ------
        ProjectError
            If nothing of this image is to be reviewed.
        """
        return self._add(replace(self._find(image), state=REJECTED))

    def take_back(self, image: str, *, replacing: str = "") -> Review:
        """Have an image that was accepted or rejected reviewed again; it is not annotated then.

        Parameters
        ----------
        image : str
            As in `Record.name`.
        replacing : str
            `masks.file_digest` of its mask, if it has one; any other one is kept. Where its
            prediction is gone, the mask takes its place.

        Raises
        ------
        AnnotatedError
            If it has another mask, which is kept.
        ProjectError
            If it was not reviewed, or the files can't be written.
        """
        review = self._find(image, again=True)
        if review.state == TO_REVIEW:
            return review
        writer = ProjectWriter(self.folder)
        entry = writer.entry(image)
        if not is_there(self.folder, review):
            if not isinstance(entry, Record):
                raise ProjectError(
                    f"The prediction of {image} is gone, so there is nothing to be reviewed."
                )
            review = replace(review, prediction=self._write(image, read_labels(entry.mask)))
        if not isinstance(entry, Record):
            return self._add(replace(review, state=TO_REVIEW))
        again = _dated(replace(review, state=TO_REVIEW))
        with ProjectWriter.opened(self.folder) as project, self._table_held():
            project.unannotate(image, replacing, lambda staged: self._put(staged, again))
        return again

    def _write(self, image: str, labels: Any, notes: Annotations | None = None) -> str:
        """Write labels into `predictions/`, and what is said of them; return the file's name."""
        stem = self._stem(image)
        height, width = np.shape(labels)
        values = storable_mask(image, labels, (height, width))
        name = f"{PREDICTIONS}/{stem}{mask_suffix(values)}"
        with self._writing:
            self._forget(name)
            with staging(self.folder) as staged:
                staged.put(name, lambda path: write_labels(path, values, self._colours))
            self._write_notes(name, notes)
        return name

    def _stem(self, image: str) -> str:
        stem = self._stems.get(image)
        if stem is None:
            raise ProjectError(f"{self.folder} has no image {image}.")
        return stem

    def _write_notes(self, name: str, notes: Annotations | None) -> None:
        """Write what is said of the objects of a prediction, in place of what was said before."""
        beside = _notes_name(name)
        self._remove(beside)
        if notes:
            with staging(self.folder) as staged:
                staged.put(beside, lambda path: path.write_text(notes.to_json(), encoding="utf-8"))

    def _find(self, image: str, *, again: bool = False) -> Review:
        review = self.reviews().get(image)
        if review is None or (review.state != TO_REVIEW and not again):
            state = "has no prediction" if review is None else f"was {review.state}"
            raise ProjectError(f"{image} {state}; nothing of it is to be reviewed.")
        return review

    def _add(self, review: Review) -> Review:
        review = _dated(review)
        # Staging says what is wrong with the disk.
        with self._table_held(), staging(self.folder):
            mend(self.folder)  # or what is added now would go with a step that is undone later
            append_review(inside(self.folder, TABLE), review)
        return review

    @contextlib.contextmanager
    def _table_held(self) -> Iterator[None]:
        """Let nobody add to the table meanwhile; whoever holds the project as well does so first.

        It has a lock of its own, so that a prediction need not wait until much is gathered.
        """
        with self._writing, held(inside(self.folder, TABLE).parent):
            yield

    def _put(self, staged: Staged, review: Review) -> None:
        """Have the table get a row in the same step as other files."""
        text = table_with(inside(self.folder, TABLE), review)
        staged.put(TABLE, lambda path: path.write_bytes(text))

    def _remove(self, name: str) -> None:
        if leads_out(self.folder, name):
            return
        place = self.folder / name
        with contextlib.suppress(OSError):
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink()


def is_there(folder: Path, review: Review) -> bool:
    """Whether a prediction's labels are there: a file, or the folder of a slide's.

    Parameters
    ----------
    folder : Path
        Of the project.
    """
    path = folder / review.prediction
    return path.is_dir() if path.suffix == _SLIDE else path.is_file()


def prediction_notes(folder: Path, review: Review) -> Annotations:
    """Return what a model said of the objects of a prediction: their scores and classes.

    Parameters
    ----------
    folder : Path
        Of the project.

    Raises
    ------
    ProjectError
        If the file can't be read.
    """
    path = folder / _notes_name(review.prediction)
    return read_clicks(path) if path.is_file() else Annotations()


def _notes_name(prediction: str) -> str:
    """Return where it is kept what a model said of a prediction's objects."""
    return str(PurePosixPath(prediction).with_suffix(".json"))


def _dated(review: Review) -> Review:
    return replace(review, when=datetime.now(UTC).isoformat(timespec="milliseconds"))


def _stems(images: Sequence[str]) -> dict[str, str]:
    """Return how the prediction of each image is called: like the image, where that is clear."""
    stems = {image: safe_name(PurePosixPath(image).stem) for image in images}
    count = Counter(stem.lower() for stem in stems.values())
    return {
        image: stem if count[stem.lower()] == 1 else f"{stem}-{_digest(image)}"
        for image, stem in stems.items()
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
