"""Masks read object by object: where each object is, its class, and what nobody knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.instances.distances import object_parts
from napari_clickseg.core.instances.separating import numbered
from napari_clickseg.core.source import ImageError
from napari_clickseg.data.annotations import Annotations, read_clicks
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.masks import read_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_clickseg.data.project import Record


@dataclass(frozen=True, eq=False, slots=True)
class ObjectMask:
    """The objects of an image.

    Parameters
    ----------
    objects : int32 (Y, X)
        From 1 on, in reading order; 0 elsewhere.
    classes : int64 (n,)
        The id of each object's class; 0 where nobody said it.
    unknown : bool (Y, X)
        Pixels of which nobody knows what they are.
    """

    objects: npt.NDArray[np.int32]
    classes: npt.NDArray[np.int64]
    unknown: npt.NDArray[np.bool_]


def read_object_mask(record: Record, *, by_class: bool, ignore: int | None = None) -> ObjectMask:
    """Read a record's objects.

    Parameters
    ----------
    record : Record
        Of a project of objects, or of classes.
    by_class : bool
        Ids are classes: each connected part of one is an object.
    ignore : int, optional
        Id of pixels of which nobody knows what they are.

    Raises
    ------
    ImageError
        If the mask, or the file of its clicks, can't be read.
    """
    labels = read_labels(record.mask)
    labels = labels.astype(np.uint8) if labels.dtype == np.bool_ else labels
    ignored = np.zeros(labels.shape, bool) if ignore is None else labels == ignore
    kept = np.where(ignored, np.zeros((), labels.dtype), labels)
    objects = numbered(object_parts(kept) if by_class else kept)
    _, first = np.unique(objects, return_index=True)
    ids = kept.ravel()[first[objects.ravel()[first] > 0]]
    known = {} if by_class else noted_classes(record)
    classes = ids if by_class else np.array([known.get(int(one), 0) for one in ids])
    unknown = ignored if counts_as_complete(record) else ignored | (objects == 0)
    return ObjectMask(objects, classes.astype(np.int64), unknown)


def counts_as_complete(record: Record) -> bool:
    """Whether what is not labelled in an image is background, and not merely not done yet.

    As the project says it; where it does not, masks that came with no clicks, as imported ones do,
    are taken to be complete, and those that were clicked are not.

    Raises
    ------
    ImageError
        If the file of clicks can't be read.
    """
    return not _notes(record).clicks if record.complete is None else record.complete


def noted_classes(record: Record) -> Mapping[int, int]:
    """Return the class of each object, as far as `clicks/` says it.

    Raises
    ------
    ImageError
        If the file of clicks can't be read.
    """
    return _notes(record).classes


def _notes(record: Record) -> Annotations:
    try:
        return Annotations() if record.clicks is None else read_clicks(record.clicks)
    except ProjectError as error:
        raise ImageError(str(error)) from error
