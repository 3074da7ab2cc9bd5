"""What is to be found in an image, and what a baseline predicted there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import read_project

if TYPE_CHECKING:
    from napari_clickseg.data.project import Record
    from napari_clickseg.training.spec import TrainingSpec

BoolArray = npt.NDArray[np.bool_]
HALF = 128  # of 255: probabilities from here on are the mask


@dataclass(frozen=True, eq=False, slots=True)
class Truth:
    """What is to be found.

    Parameters
    ----------
    mask : bool (Y, X)
    ignore : bool (Y, X) or None
        Pixels that count neither way.
    """

    mask: BoolArray
    ignore: BoolArray | None


def ignored_id(spec: TrainingSpec) -> int | None:
    """Return the id of pixels that count neither way, if the project has one."""
    classes = read_project(Path(spec.project)).classes
    return None if classes is None else classes.ignore


def read_truth(record: Record, spec: TrainingSpec, ignore: int | None) -> Truth:
    """Read the mask of an image.

    Parameters
    ----------
    spec : TrainingSpec
        Completed; says which ids are to be found.
    ignore : int or None
        See `ignored_id`.
    """
    labels = read_labels(record.mask)
    mask = np.isin(labels, spec.classes) if spec.classes else labels != 0
    partial = record.complete is False  # what is not labelled is unknown
    if ignore is None and not partial:
        return Truth(mask, None)
    ignored = np.asarray((labels == ignore) | (partial & (labels == 0)))
    return Truth(mask & ~ignored, ignored)


def read_prediction(path: Path, shape: tuple[int, int]) -> tuple[npt.NDArray[np.uint8], BoolArray]:
    """Read a prediction: probabilities times 255 (Y, X), and the mask bool (Y, X).

    Raises
    ------
    ImageError
        If it is no prediction of an image of this shape.
    """
    values = read_plane(path).read_all()
    if values.dtype != np.uint8 or values.shape != shape:
        raise ImageError(f"{path} does not fit its image; delete it, and predict again.")
    return values, values >= HALF
