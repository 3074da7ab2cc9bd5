"""What the Review widget has done in the background. All of this runs on worker threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_clickseg._napari.project.correction import Correction
from napari_clickseg._napari.review.drafts import DraftFile
from napari_clickseg.data.annotations import Annotations, read_clicks
from napari_clickseg.data.classes import ProjectClasses, read_classes
from napari_clickseg.data.masks import file_digest, read_labels
from napari_clickseg.data.project import Record
from napari_clickseg.data.review import ACCEPTED, REJECTED, TO_REVIEW, ReviewQueue, is_there
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from pathlib import Path

    from napari_clickseg._napari.project.image_layers import Capture


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of an image.

    Parameters
    ----------
    state : str
        As in `QueueRow`; empty if it did not change.
    begun : bool
        There are corrections that are not accepted.
    base : str
        `masks.file_digest` of its new mask.
    file : DraftFile, optional
        Where further corrections are kept.
    complete : bool, optional
        What was written of whether all its objects are labelled; None if nothing was.
    """

    image: str
    state: str = ""
    begun: bool = False
    base: str = ""
    file: DraftFile | None = None
    complete: bool | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Accepting:
    """What is to become the mask of an image.

    Parameters
    ----------
    home, folder : Path
        As in `DraftFile`.
    image : str
        As in `Record.name`.
    base : str
        `masks.file_digest` of the mask that was corrected; empty if there was none.
    file : DraftFile
        It is removed when nothing in it is missing any more.
    """

    home: Path
    folder: Path
    image: str
    base: str
    capture: Capture
    file: DraftFile


def accept(order: Accepting) -> Saved:
    """Make what the user has made of an image its mask.

    Raises
    ------
    AnnotatedError
        If the image got another mask in the meantime, which is kept.
    ProjectError, ImageError, OSError
        If it can't be written. The draft is kept in any case.
    """
    made = order.capture.correction()
    order.file.keep(made)
    _add_classes(order.folder, made)
    record = ReviewQueue(order.folder).accept(
        order.image,
        made.labels,
        clicks=made.notes.clicks,
        object_classes=made.notes.classes,
        objects=made.notes.objects or None,
        complete=made.pending.complete,
        replacing=order.base,
    )
    order.file.drop()
    order.file.release()
    base = file_digest(record.mask)
    file = DraftFile(order.home, order.folder, order.image, base)
    file.claim()
    file.begin(made.labels)
    return Saved(order.image, ACCEPTED, base=base, file=file, complete=made.pending.complete)


def reject(folder: Path, image: str) -> Saved:
    """Drop the prediction of an image; corrections of it stay as a draft.

    Raises
    ------
    ProjectError
        If nothing of this image is to be reviewed, or it can't be written.
    """
    ReviewQueue(folder).reject(image)
    return Saved(image, REJECTED)


def take_back(home: Path, folder: Path, image: str, capture: Capture | None) -> Saved:
    """Have an image that was accepted or rejected reviewed again.

    What the user made of it becomes a draft, so that it opens as it was.

    Parameters
    ----------
    home, folder : Path
        As in `DraftFile`.
    image : str
        As in `Record.name`.
    capture : Capture, optional
        What is shown of it, where it is open: it may have been corrected since.

    Raises
    ------
    ProjectError
        If it was not reviewed, or the files can't be written.
    AnnotatedError
        If its mask became another one meanwhile, which is kept.
    """
    queue = ReviewQueue(folder)
    entry = ProjectWriter(folder).entry(image)
    made = capture.correction() if capture is not None else None
    digest = ""
    if isinstance(entry, Record):
        digest = file_digest(entry.mask)
        notes = read_clicks(entry.clicks) if entry.clicks is not None else Annotations()
        labels = read_labels(entry.mask)
        labels = labels.astype(np.promote_types(labels.dtype, np.uint16))  # room for more ids
        made = made or Correction(labels, notes, read_classes(folder))
    review, begun = queue.reviews().get(image), False
    if made is not None:  # before the mask goes
        file = DraftFile(home, folder, image)
        if review is not None and is_there(folder, review):
            file.begin(read_labels(queue.path(review)))
        begun = file.keep(made)
    queue.take_back(image, replacing=digest)
    if digest:
        DraftFile(home, folder, image, digest).drop()  # what it held is in `made`
    return Saved(image, TO_REVIEW, begun=begun)


def keep(image: str, capture: Capture, file: DraftFile, edits: int, *, last: bool = False) -> Saved:
    """Write the draft of an image if there is something new; the last time, let go of it.

    Parameters
    ----------
    edits : int
        As in `ReviewLayers`. The last time all is compared, whatever it says.

    Raises
    ------
    OSError
        If it can't be written.
    """
    pending = capture.pending()
    begun = None if last else file.begun_at(edits, pending)
    try:
        if begun is None:
            begun = file.keep(capture.correction())
            file.note(edits, pending)
        return Saved(image, begun=begun)
    finally:
        if last:
            file.release()


def _add_classes(folder: Path, made: Correction) -> None:
    """Add classes that the user made, where the project says any at all.

    Raises
    ------
    ProjectError
        If they can't be written.
    """
    writer = ProjectWriter(folder)
    there = writer.classes
    if there is None or not there.classes or made.classes is None:
        return
    known = {one.id for one in there.classes}
    new = tuple(one for one in made.classes.classes if one.id not in known)
    if new and made.classes.scheme == there.scheme:
        fields = there.model_dump() | {"classes": (*there.classes, *new)}
        writer.set_classes(ProjectClasses.model_validate(fields))
