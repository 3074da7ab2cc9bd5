"""An image with the objects that a click model learns from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.intensity import measure, to_channels
from napari_clickseg.core.source import ImageSource

SMALLEST = 40  # pixels of an object that is worth a sample


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class TrainingImage:
    """An image and its labels.

    Parameters
    ----------
    image : uint8 (C, Y, X)
        Normalised as the network will see it at run time, times 255.
    labels : int (Y, X)
        0 background.
    identifiers : tuple of int
        The labels that are large enough.
    whole : bool
        All pixels of a label are always wanted together, never one piece of them.
    ignored : bool (Y, X), optional
        Pixels that count neither way.
    name : str
        Of the image, where it matters which one it is.
    """

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.integer]
    identifiers: tuple[int, ...]
    whole: bool = False
    ignored: npt.NDArray[np.bool_] | None = None
    name: str = ""

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        ignored = 0 if self.ignored is None else self.ignored.nbytes
        return int(self.image.nbytes + self.labels.nbytes + ignored)


def make_record(
    image: npt.NDArray[np.generic], labels: npt.NDArray[np.generic]
) -> TrainingImage | None:
    """Normalise an image (Y, X) or (Y, X, C) with labels (Y, X); None if no object is there.

    Raises
    ------
    ValueError
        If the labels are not of the image's shape.
    """
    source = ImageSource(image)
    if labels.shape != source.shape:
        raise ValueError(
            f"The labels' shape {labels.shape} is not the image's {source.shape}; give one id for "
            "each pixel."
        )
    values = to_channels(measure(source).apply(source.read_all()), 3)
    ids = _smallest(labels)
    pixels = np.ascontiguousarray((values * 255).round().astype(np.uint8).transpose(2, 0, 1))
    return with_objects(pixels, ids, SMALLEST)


def _smallest(labels: npt.NDArray[np.generic]) -> npt.NDArray[np.integer]:
    """Return ids in the smallest type that holds them: thousands of images lie in memory."""
    ids = labels.astype(np.int64)
    return ids.astype(np.min_scalar_type(int(ids.max(initial=0))))


def with_objects(
    image: npt.NDArray[np.uint8], labels: npt.NDArray[np.integer], least: int
) -> TrainingImage | None:
    """Make a record of the objects that have so many pixels; None if there is none."""
    counts = np.bincount(labels.ravel())
    identifiers = tuple(int(i) for i in np.flatnonzero(counts >= least) if i)
    return TrainingImage(image, labels, identifiers) if identifiers else None
