"""NIfTI: volumes of X, Y and Z, of which planes are along X and Y."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.reading.extras import needed
from napari_clickseg.data.reading.header import LAZY, Header, chosen_scene
from napari_clickseg.data.reading.lazy import Stored, full_index

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.data.reading.header import Spacing

_UNITS = {"mm": "mm", "meter": "m", "micron": "µm"}
_AXES = "XYZTQQQ"


def read_nifti(
    path: Path, *, ids: bool = False, scene: int | None = None, as_shown: bool = True
) -> Header:
    """Read what a NIfTI file says of itself; voxels are not moved, however the patient lies.

    Parameters
    ----------
    path : Path
        Of a .nii, or .nii.gz.
    ids : bool
        Its values are ids: a slope by which they should be multiplied does not count where it is 1.
    scene : int, optional
        0, if anything.
    as_shown : bool
        Changes nothing.
    """
    chosen_scene(path, [""], scene)
    nibabel = needed(path, "nibabel", "formats")
    stored = nibabel.load(path)
    proxy = stored.dataobj
    sizes = tuple(int(n) for n in stored.shape)
    if len(sizes) < 2 or len(sizes) > len(_AXES):
        raise ImageError(f"{path} has {len(sizes)} axes; give a NIfTI of two to seven.")
    kind = np.dtype(stored.get_data_dtype())
    samples = len(kind.names or ())
    if samples:
        dtype = np.dtype(kind[0])
    elif (float(proxy.slope), float(proxy.inter)) == (1.0, 0.0):
        dtype = kind.newbyteorder("=")
    else:
        dtype = np.dtype(np.float32)
    axes = _AXES[: len(sizes)][::-1] + "S" * bool(samples)
    shape = (*sizes[::-1], *((samples,) if samples else ()))

    def levels() -> Sequence[Any]:
        # What is packed can be read from its beginning only, so it is unpacked once.
        packed = path.suffix.lower() == ".gz" and proxy.dtype.itemsize * math.prod(sizes) <= LAZY
        values = np.asarray(proxy) if packed else proxy
        return [Stored(path, _Reversed(values, shape, dtype), axes)]

    spacing = _spacing(stored)
    return Header("NIfTI", shape, dtype, axes, levels, spacing=spacing)


class _Reversed:
    """A NIfTI's values with the axes the other way round, read where they are indexed."""

    def __init__(self, proxy: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._proxy, self.shape, self.dtype = proxy, shape, dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        wanted = full_index(index, self.ndim)
        outer = wanted[: len(self._proxy.shape)]
        values = np.asarray(self._proxy[tuple(outer[::-1])]).T
        if values.dtype.names:  # colours, which NIfTI keeps as records
            values = np.stack([values[name] for name in values.dtype.names], axis=-1)
            values = values[(..., wanted[-1])]
        return np.asarray(values, self.dtype)


def _spacing(stored: Any) -> Spacing | None:
    """Return the size of voxels; where no unit is said, as often, it is millimetres."""
    unit = _UNITS.get(stored.header.get_xyzt_units()[0], "mm")
    zooms = [float(size) for size in stored.header.get_zooms()[:3]]
    if not all(np.isfinite(size) and size > 0 for size in zooms):
        return None
    return (zooms[2] if len(zooms) > 2 else None), zooms[1], zooms[0], unit
