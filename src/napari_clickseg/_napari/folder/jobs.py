"""What is done in the background while a folder is gone through. Worker threads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.folder.folder_layers import FolderImage
from napari_clickseg._napari.folder.listing import rows_of, state_of
from napari_clickseg._napari.project.correction import Correction, labels_digest
from napari_clickseg._napari.project.image_rows import ImageRow
from napari_clickseg._napari.project.opened import (
    Meanings,
    editable,
    limits_of,
    plane_pixel_size,
    plane_shape,
    read_pixels,
    record_origin,
)
from napari_clickseg.data.annotations import Annotations, read_clicks
from napari_clickseg.data.classes import ProjectClasses
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.masks import file_digest
from napari_clickseg.data.project import Record, entry_of, read_folder, read_project
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.util.files import stamp

if TYPE_CHECKING:
    from pathlib import Path

    from napari_clickseg._napari.project.image_layers import Capture
    from napari_clickseg.data.index import Row, Table
    from napari_clickseg.data.project import Unannotated


@dataclass(frozen=True, eq=False, slots=True)
class FolderOrder:
    """What is to be saved of an image.

    Parameters
    ----------
    image : str
        As in `Record.name`.
    base : str
        `masks.file_digest` of the mask that it takes the place of; empty if there was none.
    there : Annotations
        What the project knows of its objects.
    digest : int
        Of the labels that the project holds.
    done : bool, optional
        Whether all objects of the image are labelled; None where the user did not say.
    """

    project: Path
    image: str
    base: str
    capture: Capture
    there: Annotations
    digest: int
    done: bool | None = None


@dataclass(frozen=True, eq=False, slots=True)
class FolderSaved:
    """What became of an image.

    Parameters
    ----------
    base : str
        `masks.file_digest` of its mask; empty if it has none.
    digest : int
        As in `FolderOrder`.
    complete : bool, optional
        What was written of whether all its objects are labelled; None if nothing was.
    """

    row: ImageRow
    base: str
    there: Annotations
    digest: int
    complete: bool | None = None


@dataclass(frozen=True, eq=False, slots=True)
class _ReadAhead:
    """An image that was read ahead."""

    project: Path
    row: Row
    stamps: tuple[Any, ...]
    opened: FolderImage


@dataclass(slots=True)
class FolderReader:
    """Reads images of a folder, and one of them ahead. For one worker thread."""

    _meanings: Meanings = field(default_factory=Meanings)
    _ready: _ReadAhead | None = None

    def open(
        self, project: Path, image: str, held: FolderOrder | None = None
    ) -> tuple[FolderImage, tuple[ImageRow, ...]]:
        """Read an image with its mask, and all rows as they are by now.

        Parameters
        ----------
        held : FolderOrder, optional
            What could not be saved of it.

        Raises
        ------
        ProjectError, ImageError
            If it can't be shown.
        """
        table = read_folder(project)
        rows = tuple(ImageRow(row.image, state_of(row)) for row in table.rows)
        opened = self._read(project, table, image)
        if held is not None:
            opened = replace(opened, shown=held.capture.correction(), base=held.base)
        return opened, rows

    def ahead(self, project: Path, image: str) -> None:
        """Read an image that will be opened soon, if it can be read."""
        try:
            self._read(project, read_folder(project), image)
        except (ValueError, OSError):  # who opens it is told
            self._ready = None

    def _read(self, project: Path, table: Table, image: str) -> FolderImage:
        row = next((row for row in table.rows if row.image == image), None)
        if row is None:
            raise ProjectError(f"{project} has no image {image} any more.")
        entry, ready = entry_of(project, row), self._ready
        stamps = _stamps(entry)
        if ready is not None and (ready.project, ready.row, ready.stamps) == (project, row, stamps):
            return ready.opened
        opened = self._opened(project, row, entry)
        self._ready = _ReadAhead(project, row, stamps, opened)
        return opened

    def _opened(self, project: Path, row: Row, entry: Record | Unannotated) -> FolderImage:
        pixels, rgb = read_pixels(entry.image)
        labels, notes, base = np.zeros(plane_shape(pixels, rgb), np.uint16), Annotations(), ""
        if isinstance(entry, Record):
            base = file_digest(entry.mask)
            labels = editable(entry.mask, labels.shape)
            notes = read_clicks(entry.clicks) if entry.clicks is not None else notes
        correction = Correction(labels, notes)
        classes = self._meanings.of(project, correction, correction, lambda: read_project(project))
        channels = 0 if rgb or pixels.ndim == 2 else pixels.shape[0]
        return FolderImage(
            image=row.image,
            pixels=pixels,
            rgb=rgb,
            limits=limits_of(pixels),
            shown=replace(correction, classes=classes),
            base=base,
            origin=record_origin(project, entry, () if row.group else (row.image,), channels),
            state=state_of(row),
            complete=entry.complete,
            pixel_size=plane_pixel_size(entry),
            there=notes,
            digest=labels_digest(labels),
        )


def save(order: FolderOrder) -> FolderSaved:
    """Save what the user has made of an image, if there is anything new.

    Raises
    ------
    AnnotatedError
        If it got another mask in the meantime, which is kept.
    ProjectError, ImageError, OSError
        If it can't be written.
    """
    made = order.capture.correction()
    digest = labels_digest(made.labels)
    new = digest != order.digest or made.notes != order.there
    said = made.pending.complete if order.done is None else order.done
    if not new and not made.pending and said is None:
        return FolderSaved(_row(order.project, order.image), order.base, order.there, digest)
    base, image = order.base, order.image
    with ProjectWriter.opened(order.project) as writer:
        if made.labels.any() or said:
            said = False if said is None and not base else said  # it was begun just now
            if new or not base:
                _set_classes(writer, made)
                base = _annotate(writer, order, made, said)
            elif said is not None:
                writer.mark_complete(image, said)
        else:
            if base:  # all objects were erased
                writer.unannotate(image, base)
            base, said = "", False
            writer.mark_complete(image, False)
    return FolderSaved(_row(order.project, image), base, made.notes, digest, said)


def _annotate(
    writer: ProjectWriter, order: FolderOrder, made: Correction, complete: bool | None
) -> str:
    """Write a mask with all that is known of it, and return its digest."""
    record = writer.annotate(
        order.image,
        made.labels,
        clicks=made.notes.clicks,
        object_classes=made.notes.classes,
        objects=made.notes.objects,
        complete=complete,
        replacing=order.base,
    )
    return file_digest(record.mask)


def _row(project: Path, image: str) -> ImageRow:
    row = next((one for one in rows_of(project) if one.image == image), None)
    if row is None:
        raise ProjectError(f"{project} has no image {image} any more.")
    return row


def _set_classes(writer: ProjectWriter, made: Correction) -> None:
    """Say what ids mean: all of it where the project does not, else the classes that are new.

    Raises
    ------
    ProjectError
        If ids mean something else in the project, or it can't be written.
    """
    there, classes = writer.classes, made.classes
    if classes is None or not classes.classes:
        return
    if there is None or not there.classes:
        writer.set_classes(classes)
        return
    if there.scheme != classes.scheme:
        own = "classes" if there.scheme == "classes" else "objects, each with its own"
        raise ProjectError(
            f"In {writer.folder} ids are {own}; choose that under “Rules”, or another project."
        )
    known = {one.id for one in there.classes}
    new = tuple(one for one in classes.classes if one.id not in known)
    if new:
        fields = there.model_dump() | {"classes": (*there.classes, *new)}
        writer.set_classes(ProjectClasses.model_validate(fields))


def _stamps(entry: Record | Unannotated) -> tuple[Any, ...]:
    """Return what changes when one of an image's files does."""
    files = [entry.image]
    if isinstance(entry, Record):
        files += [entry.mask, *([entry.clicks] if entry.clicks is not None else [])]
    return tuple(stamp(file) for file in files)
