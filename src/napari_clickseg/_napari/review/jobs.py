"""What the Review widget has done in the background. All of this runs on worker threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_clickseg._napari.review.drafts import DraftFile
from napari_clickseg.data.classes import ProjectClasses
from napari_clickseg.data.masks import file_digest
from napari_clickseg.data.review import ACCEPTED, REJECTED, ReviewQueue
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from pathlib import Path

    from napari_clickseg._napari.review.drafts import Correction
    from napari_clickseg._napari.review.open_image import Capture

__all__ = ["Accepting", "Saved", "accept", "keep", "reject"]


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of an image.

    Parameters
    ----------
    image : str
    state : str
        As in `QueueRow`; empty if it did not change.
    begun : bool
        There are corrections that are not accepted.
    base : str
        `masks.file_digest` of its new mask.
    file : DraftFile, optional
        Where further corrections are kept.
    """

    image: str
    state: str = ""
    begun: bool = False
    base: str = ""
    file: DraftFile | None = None


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
    capture : Capture
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
        replacing=order.base,
    )
    order.file.drop()
    base = file_digest(record.mask)
    file = DraftFile(order.home, order.folder, order.image, base)
    file.begin(made.labels)
    return Saved(order.image, ACCEPTED, base=base, file=file)


def reject(folder: Path, image: str) -> Saved:
    """Drop the prediction of an image; corrections of it stay as a draft.

    Raises
    ------
    ProjectError
        If nothing of this image is to be reviewed, or it can't be written.
    """
    ReviewQueue(folder).reject(image)
    return Saved(image, REJECTED)


def keep(image: str, capture: Capture, file: DraftFile) -> Saved:
    """Write the draft of an image if there is something new.

    Raises
    ------
    OSError
        If it can't be written.
    """
    return Saved(image, begun=file.keep(capture.correction()))


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
