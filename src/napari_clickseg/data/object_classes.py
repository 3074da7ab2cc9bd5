"""Masks of objects read as masks of classes: each object is its class, as `clicks/` says it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.annotations import read_clicks
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.masks import read_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from napari_clickseg.data.project import Project, Record

_UNKNOWN = 255  # as many programs write it


def by_classes(project: Project) -> Project:
    """Return a project of objects as one of classes, where it says the classes of its objects.

    Objects whose class nobody said count as unknown: they are neither a class nor background.
    A project whose ids are classes already, or that says no object's class, stays as it is.

    Raises
    ------
    ProjectError
        If a file of clicks can't be read.
    """
    known = project.classes
    if known is None or known.scheme != "instances":
        return project
    used = {one for record in project.records for one in _classes(record).values()}
    if not used:
        return project
    taken = used | {one.id for one in known.classes}
    free = _UNKNOWN if _UNKNOWN not in taken else max(taken) + 1
    unknown = known.ignore if known.ignore is not None else free
    if unknown in taken:
        raise ProjectError(
            f"The id {unknown} is a class and to be ignored at once; change classes.json."
        )
    return replace(
        project,
        records=tuple(replace(record, unknown=unknown) for record in project.records),
        classes=known.model_copy(update={"scheme": "classes", "ignore": unknown}),
    )


def read_mask(record: Record) -> npt.NDArray[Any]:
    """Read a record's mask as ids (Y, X): of objects or of classes, whichever it is read for.

    Raises
    ------
    ImageError
        If it can't be read, or its objects' classes can't.
    """
    labels = read_labels(record.mask)
    if record.unknown is None:
        return labels
    try:
        return classes_of(labels, _classes(record), record.unknown)
    except ProjectError as error:
        raise ImageError(str(error)) from error


def classless_objects(record: Record) -> int:
    """Count the objects of a mask whose class nobody said; 0 where objects are not asked for.

    Raises
    ------
    ImageError
        If the mask can't be read.
    """
    if record.unknown is None:
        return 0
    known = _classes(record)
    ids = {int(one) for one in np.unique(read_labels(record.mask))} - {0, record.unknown}
    return len(ids - known.keys())


def classes_of(
    labels: npt.NDArray[Any], classes: Mapping[int, int], unknown: int
) -> npt.NDArray[Any]:
    """Return the class of each pixel's object.

    Parameters
    ----------
    labels : int (Y, X)
        Ids of objects, 0 for background.
    classes : mapping of int to int
        Of each object.
    unknown : int
        What objects without a class become.

    Returns
    -------
    int64 (Y, X)
    """
    ids, at = np.unique(labels, return_inverse=True)
    of_each = np.array([classes.get(int(one), unknown) if one else 0 for one in ids], np.int64)
    of_pixels: npt.NDArray[Any] = of_each[at].reshape(labels.shape)
    return of_pixels


def _classes(record: Record) -> Mapping[int, int]:
    return read_clicks(record.clicks).classes if record.clicks is not None else {}
