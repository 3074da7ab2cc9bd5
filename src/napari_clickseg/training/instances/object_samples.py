"""Images with what a network is to answer of their objects: class, edge and middle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.instances.distances import object_distances
from napari_clickseg.data.object_masks import read_object_mask
from napari_clickseg.data.sets.dataset import IGNORED, Dataset, Sample, read_sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.data.project import Record
    from napari_clickseg.data.sets.dataset import ClassMap

CLASSLESS = 254  # index of pixels of an object whose class nobody said
STEPS = 254  # a distance of one, as it is kept


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class ObjectSample(Sample):
    """An image with its objects.

    Parameters
    ----------
    record, pixels
        As in `Sample`.
    labels : int32 (Y, X)
        Objects from 1 on; those that are not learned are background.
    classes : int64 (n,)
        The index of each object's class, from 1 on; 0 where nobody said it.
    planes : uint8 (3, Y, X)
        What is learned: indices of classes, `CLASSLESS` or `IGNORED`; and the distances from the
        edge and the middle, `STEPS` for one.
    """

    classes: npt.NDArray[np.int64]
    planes: npt.NDArray[np.uint8]

    @property
    def unknown(self) -> npt.NDArray[np.bool_]:
        """Pixels of which nobody knows what they are, bool (Y, X)."""
        return np.asarray(self.planes[0] == IGNORED)

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return int(self.pixels.nbytes + self.labels.nbytes + self.planes.nbytes)


def object_reader(classes: ClassMap, *, by_class: bool) -> Callable[[Record], ObjectSample]:
    """Return what reads an image with its objects.

    Parameters
    ----------
    classes : ClassMap
        What is learned.
    by_class : bool
        Ids are classes: each connected part of one is an object.
    """

    def read(record: Record) -> ObjectSample:
        plain = read_sample(record)
        mask = read_object_mask(record, by_class=by_class, ignore=classes.ignore)
        index, learned = _indices(mask.classes, classes)
        objects = np.where(np.append(False, learned)[mask.objects], mask.objects, 0)
        objects, kept = _compact(objects)
        index = index[kept]
        of_pixel = np.append(0, np.where(index > 0, index, CLASSLESS)).astype(np.uint8)[objects]
        of_pixel[mask.unknown] = IGNORED
        distances = np.round(object_distances(objects) * STEPS).astype(np.uint8)
        planes = np.concatenate([of_pixel[None], distances])
        return ObjectSample(record, plain.pixels, objects, index, planes)

    return read


def object_dataset(
    dataset: Dataset[Sample], classes: ClassMap, *, by_class: bool
) -> Dataset[ObjectSample]:
    """Return the images of a dataset with their objects, kept in as much memory instead."""
    read = object_reader(classes, by_class=by_class)
    return Dataset(dataset.records, dataset.mib, read=read)


def _indices(
    ids: npt.NDArray[np.int64], classes: ClassMap
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the class of each object as an index, 0 where it has none, and which are learned."""
    if classes.ids == ((),):
        return np.ones(len(ids), np.int64), np.ones(len(ids), bool)
    of = {one: k for k, some in enumerate(classes.ids, 1) for one in some}
    index = np.array([of.get(int(one), 0) for one in ids], np.int64)
    return index, (index > 0) | (ids == 0)


def _compact(objects: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return objects without gaps, and which of them are left, from 0 on."""
    ids = np.unique(objects)
    ids = ids[ids > 0]
    new = np.zeros(int(objects.max(initial=0)) + 1, np.int32)
    new[ids] = np.arange(1, len(ids) + 1)
    return new[objects], ids.astype(np.int64) - 1
