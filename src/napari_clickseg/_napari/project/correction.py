"""What the user made of an image, as a value that may be kept and shown again."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.annotations import Annotations, ProjectClick

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_clickseg.core.patch import Patch
    from napari_clickseg.data.classes import ProjectClasses


@dataclass(frozen=True, slots=True)
class Pending:
    """An object that was being made.

    Parameters
    ----------
    settled : int
        How many of them the start answers already.
    start : Patch, optional
        The mask that it began with.
    editing : int, optional
        The id of the object in the annotation layer that it corrects, with the pixels of `start`.
    reading : int
        See `Prompt`.
    complete : bool, optional
        What the user says of whether all objects are labelled; None: what the project says.
    """

    clicks: tuple[ProjectClick, ...] = ()
    settled: int = 0
    start: Patch | None = None
    editing: int | None = None
    reading: int = 0
    complete: bool | None = None

    @property
    def has_object(self) -> bool:
        """Whether an object was begun."""
        return len(self.clicks) > self.settled

    def __bool__(self) -> bool:
        return self.has_object or self.complete is not None


@dataclass(frozen=True, eq=False, slots=True)
class Correction:
    """What the user made of an image.

    Parameters
    ----------
    labels : int (Y, X)
        Ids.
    notes : Annotations
        Clicks and classes of the objects.
    classes : ProjectClasses, optional
        What ids mean.
    pending : Pending
        What is not in the labels yet.
    """

    labels: npt.NDArray[Any]
    notes: Annotations = field(default_factory=Annotations)
    classes: ProjectClasses | None = None
    pending: Pending = field(default_factory=Pending)


def labels_digest(labels: npt.NDArray[Any]) -> int:
    """Return what tells labels from others, whatever their dtype."""
    return zlib.crc32(np.ascontiguousarray(labels, np.uint32).data)
