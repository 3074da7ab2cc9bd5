"""One image of a project, read so that it can be shown and gone on with. Worker threads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.viewer.colours import colour_of
from napari_clickseg._napari.viewer.metadata import Origin
from napari_clickseg.core.source import ImageError
from napari_clickseg.data.classes import ProjectClass, ProjectClasses, read_classes
from napari_clickseg.data.images import read_single_plane
from napari_clickseg.data.inspection.findings import inspect_project, measure
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.names import record_name
from napari_clickseg.data.pixel_size import PixelSize, read_pixel_size

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg._napari.project.correction import Correction
    from napari_clickseg.data.project import Project, Record, Unannotated

_ENOUGH = 8  # masks that say what ids mean, where a project does not


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class OpenedImage:
    """An image of a project, as it is shown.

    Parameters
    ----------
    image : str
        As in `Record.name`.
    pixels : array (Y, X), (Y, X, 3) or (C, Y, X)
    limits : (float, float)
        The least and the greatest value, between which it is drawn.
    shown : Correction
        Its mask, or what the user had made of it.
    base : str
        `masks.file_digest` of its mask; empty if it has none.
    state : str
        What became of it so far.
    complete : bool, optional
        As in `Record`.
    pixel_size : PixelSize, optional
        Of y and x; None if nothing says it.
    other : int (Y, X), optional
        What the user had made of it before it got its mask from elsewhere, or elsewhere.
    notice : str
        What the user has to know of corrections that were kept; empty if there is nothing.
    """

    image: str
    pixels: npt.NDArray[Any]
    rgb: bool
    limits: tuple[float, float]
    shown: Correction
    base: str
    origin: Origin
    state: str
    complete: bool | None = None
    pixel_size: PixelSize | None = None
    other: npt.NDArray[Any] | None = None
    notice: str = ""

    @property
    def channels(self) -> int:
        """How many have an axis of their own; 0 if there is none."""
        return 0 if self.rgb or self.pixels.ndim == 2 else int(self.pixels.shape[0])


def read_pixels(path: Path) -> tuple[npt.NDArray[Any], bool]:
    """Read an image of a project as it is shown: channels first, unless they are colours.

    Returns
    -------
    (array (Y, X), (Y, X, 3) or (C, Y, X), bool)
        The pixels, and whether they are colours.

    Raises
    ------
    ImageError
        If it can't be read, is a stack, or too large to be read whole.
    """
    plane = read_single_plane(path)
    pixels = plane.read_all()
    if plane.rgb or pixels.ndim == 2:
        return pixels, plane.rgb
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0)), False


def plane_pixel_size(entry: Record | Unannotated) -> PixelSize | None:
    """Return the size of an image's pixels along y and x: as the project says, or else its file."""
    size = entry.pixel_size or read_pixel_size(entry.image)
    return size and PixelSize(size.y, size.x, size.unit)


def plane_shape(pixels: npt.NDArray[Any], rgb: bool) -> tuple[int, int]:
    """Return height and width of what `read_pixels` returns."""
    shape = pixels.shape[:2] if rgb else pixels.shape[-2:]
    return int(shape[0]), int(shape[1])


def editable(path: Path, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Read labels in a dtype with room for more ids.

    Raises
    ------
    ImageError
        If they can't be read, or have another shape.
    """
    labels = read_labels(path)
    if labels.shape != tuple(shape):
        raise ImageError(
            f"{path} has the shape {labels.shape}, its image {tuple(shape)}; predict it again."
        )
    fits = int(labels.max(initial=0)) < np.iinfo(np.uint16).max
    return labels.astype(np.uint16 if fits else np.uint32)


def limits_of(pixels: npt.NDArray[Any]) -> tuple[float, float]:
    """Return the ends of an image's range; they differ."""
    finite = pixels[np.isfinite(pixels)] if pixels.dtype.kind == "f" else pixels
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low, low + 1)


def record_origin(
    folder: Path, entry: Record | Unannotated, ungrouped: Collection[str], channels: int
) -> Origin:
    """Return which record of a project a layer shows."""
    group = "" if entry.name in ungrouped else entry.group
    return Origin(
        str(folder.resolve()),
        [record_name(entry.name)],
        [group],
        [entry.split],
        False,
        0 if channels else None,
    )


@dataclass(slots=True)
class Meanings:
    """Knows what ids mean in projects; where a project does not say it, by some of its masks."""

    _schemes: dict[Path, str] = field(default_factory=dict)

    def of(
        self, folder: Path, stored: Correction, shown: Correction, read: Callable[[], Project]
    ) -> ProjectClasses:
        """Return what ids mean: as the user said, as the project says, or as it looks.

        Parameters
        ----------
        stored, shown : Correction
            The image's mask or prediction, and what the user had made of it.
        read : callable
            Reads the project, where that is needed.
        """
        known = shown.classes or read_classes(folder)
        if known is not None and known.classes:
            return known
        scheme = known.scheme if known is not None else self._scheme(folder, stored, read)
        ids = [int(i) for i in np.unique(stored.labels) if i] if scheme == "classes" else []
        named = tuple(ProjectClass(id=i, name=str(i), colour=colour_of(i)) for i in ids)
        one = (ProjectClass(id=1, name="object", colour=colour_of(1)),)
        return ProjectClasses.model_validate({"scheme": scheme, "classes": named or one})

    def _scheme(self, folder: Path, stored: Correction, read: Callable[[], Project]) -> str:
        """Guess whether ids are objects or classes, from some masks and what was predicted."""
        pixels, _, pieces = measure(stored.labels)
        if len(pieces) > len(pixels):  # an object would be in one piece
            return "classes"
        if folder not in self._schemes:
            project = read()
            some = replace(project, records=project.records[:_ENOUGH])
            scheme = inspect_project(some).scheme if some.records else "instances"
            self._schemes[folder] = scheme
        return self._schemes[folder]
