"""The labels of a slide as a mask of a project: copied part by part. Worker threads."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.instances.joining import blocks
from napari_clickseg.core.source import ImageError
from napari_clickseg.data.annotations import Annotations
from napari_clickseg.data.chunked.chunks import ChunkedArray
from napari_clickseg.data.images import read_single_plane
from napari_clickseg.formats.annotated import AnnotatedImage
from napari_clickseg.formats.omezarr import begin_labels, finish_labels

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from napari_clickseg._napari.project.pairs import PairData
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.data.classes import ProjectClasses

_SLIDE = 8192 * 8192  # pixels of a plane from which on its mask is a folder of chunks
_SIDE = 1024  # pixels of a side of what is copied at once


def is_slide_shape(shape: tuple[int, int]) -> bool:
    """Whether a plane is so large that it is never in memory as a whole."""
    return shape[0] * shape[1] >= _SLIDE


def file_of_plane(pair: PairData) -> Path | None:
    """Return the file of the image, where that holds this one plane and nothing else."""
    if not pair.file or pair.count != 1:
        return None
    path = Path(pair.file).absolute()
    try:
        shape = read_single_plane(path).shape[:2]
    except (ImageError, OSError, ValueError):
        return None
    return path if shape == next(pair.planes()).shape else None


@dataclass(frozen=True, eq=False, slots=True)
class SlideMask:
    """The labels of one plane.

    Parameters
    ----------
    tick : callable, optional
        Called with the number of parts that are copied, and how many there are; what it raises
        ends the work, with nothing changed.
    """

    pair: PairData
    plane: Plane
    tick: Callable[[int, int], object] | None = None

    def ids(self) -> npt.NDArray[Any]:
        """Return which ids there are, (1, n)."""
        ids: Any = np.zeros(0, np.int64)
        for part in blocks(self.plane.shape, _SIDE, 0):
            values = self._read(part.core.slices)
            if values.any():
                ids = np.union1d(ids, np.unique(values))
        return np.asarray(ids[ids > 0].astype(np.int64))[None]

    def write(
        self,
        folder: Path,
        ids: npt.NDArray[Any],
        notes: Annotations,
        classes: ProjectClasses | None,
        image: str,
    ) -> None:
        """Write OME-Zarr with a pyramid, and what is known of its objects."""
        most = int(ids.max(initial=0))
        out = begin_labels(folder, self.plane.shape, np.uint16 if most < 1 << 16 else np.uint32)
        parts = blocks(self.plane.shape, _SIDE, 0)
        for number, part in enumerate(parts, 1):
            values = self._read(part.core.slices)
            if values.any():  # chunks without a label take no room
                out[part.core.slices] = values
            if self.tick is not None:
                self.tick(number, len(parts))
        about = AnnotatedImage(
            PurePosixPath(image).stem,
            ids,
            file=PurePosixPath(image).name,
            pixel_size=self.pair.pixel_size,
            classes=classes,
            annotations=Annotations(classes=notes.classes, objects=notes.objects),
        )
        finish_labels(folder, about, more={"written": uuid.uuid4().hex, "empty": not ids.size})

    def rest_on(self, folder: Path) -> None:
        """Have labels that were opened from a project go on from what was just written."""
        if isinstance(self.pair.labels, ChunkedArray):
            self.pair.labels.store.rest_on(folder)

    def _read(self, box: tuple[slice, slice]) -> npt.NDArray[Any]:
        return np.asarray(self.pair.labels[self.plane.key(*box)])
