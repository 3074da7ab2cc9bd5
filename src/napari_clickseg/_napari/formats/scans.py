"""Images of microscopes and scanners as layers, read plane by plane as they are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_info

from napari_clickseg._napari.viewer.pixels import placed
from napari_clickseg.data.images import open_image, read_header
from napari_clickseg.data.names import image_stem
from napari_clickseg.data.pixel_size import read_pixel_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.types import LayerDataTuple

__all__ = ["get_reader"]

_CHUNK = 2048  # pixels along a side that are read at once
_KINDS = ("CZI", "ND2", "LIF", "OIF", "NIfTI")


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerDataTuple]] | None:
    """Return what opens an image of a microscope or scanner; None of other files.

    A package that lacks is no reason for None: the message that names it is told on opening.
    """
    return _open if isinstance(path, str) and Path(path).is_file() else None


def _open(path: str) -> list[LayerDataTuple]:
    import dask.array as da

    source = Path(path)
    header = read_header(source)
    if header.kind not in _KINDS:
        raise ValueError(f"{source} is a {header.kind} by another name; rename it.")
    stored = open_image(source)
    axes, rgb = stored.axes, stored.axes.endswith("S") and stored.levels[0].shape[-1] in (3, 4)
    levels = []
    for level in stored.levels:
        chunks = tuple(
            min(int(n), _CHUNK) if axis in "YXS" else 1
            for axis, n in zip(axes, level.shape, strict=True)
        )
        levels.append(da.from_array(level, chunks=chunks, asarray=False))  # type: ignore[no-untyped-call]
    shown = axes[:-1] if rgb else axes
    lead = len(shown) - 2
    meta: dict[str, Any] = {"name": image_stem(source.name), "rgb": rgb}
    meta |= placed(read_pixel_size(source), lead)
    meta["axis_labels"] = tuple(axis.lower() for axis in shown)
    if len(levels) > 1:
        meta["multiscale"] = True
    elif not rgb:
        meta["contrast_limits"] = _limits(levels[0])
    if stored.notices:
        show_info(" ".join(f"{source.name}: {text}" for text in stored.notices))
    return [(levels if len(levels) > 1 else levels[0], meta, "image")]


def _limits(level: Any) -> tuple[float, float]:
    """Return limits of contrast of the middle plane: napari would look at the first, often dark."""
    plane = np.asarray(level[tuple(n // 2 for n in level.shape[:-2])])
    low, high = float(np.nanmin(plane)), float(np.nanmax(plane))
    return (low, high) if high > low else (low, low + 1)
