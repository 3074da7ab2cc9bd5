"""Writers for napari's own Save: labels with all that is known of their objects.

napari asks the first writer that fits, which may be this one for anybody's labels; those that say
nothing of ours are written just as napari does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.formats.annotated_layers import (
    described,
    is_ours,
    levels_of,
    planes_said,
)
from napari_clickseg.data.encode import write_grey
from napari_clickseg.formats.omezarr import write_omezarr
from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from napari_clickseg.formats.annotated import AnnotatedImage

_TILE = 512
_LARGE = 1 << 28  # pixels from which on a layer is written tile by tile


def write_tiff(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a labels layer as TIFF; its classes, objects and pixel size are in its description."""
    levels = levels_of(data, meta)
    if not is_ours(meta) and len(levels) == 1:
        from napari_builtins.io import napari_write_labels

        written = napari_write_labels(path, data, meta)
        return [written] if written else []
    image = described(data, meta)
    said = {"clickseg": json.dumps(image.sidecar() | planes_said(meta))}
    write_whole(Path(path), lambda partial: _write(partial, image, said))
    return [path]


def _write(path: Path, image: AnnotatedImage, said: dict[str, str]) -> None:
    labels = image.labels
    if int(np.prod(labels.shape, dtype=object)) < _LARGE:
        write_grey(path, np.asarray(labels), image.pixel_size, image.axes, **said)
        return
    import tifffile

    options: dict[str, Any] = {}
    if image.pixel_size is not None:
        size = image.pixel_size.within("cm")
        options = {"resolution": (1 / size.x, 1 / size.y), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(
        path,
        _tiles(labels),
        shape=tuple(int(n) for n in labels.shape),
        dtype=np.dtype(labels.dtype),
        tile=(_TILE, _TILE),
        photometric="minisblack",
        compression="zlib",
        compressionargs={"level": 1},
        bigtiff=True,
        metadata={"axes": image.axes, **said},
        **options,
    )


def _tiles(labels: Any) -> Iterator[npt.NDArray[Any]]:
    """Yield the tiles of all planes; a strip of them is read at a time."""
    *lead, height, width = (int(n) for n in labels.shape)
    for index in np.ndindex(*lead):
        for top in range(0, height, _TILE):
            strip = np.asarray(labels[(*index, slice(top, top + _TILE), slice(None))])
            for left in range(0, width, _TILE):
                yield np.ascontiguousarray(strip[:, left : left + _TILE])


def write_zarr(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a labels layer as OME-Zarr: a pyramid with colours, classes, objects, pixel size."""
    import os
    import shutil
    import tempfile

    from napari_clickseg.util.files import PARTIAL, this_process

    target = Path(path)
    image = described(data, meta)
    place = tempfile.mkdtemp(prefix=f"{PARTIAL}{this_process()}-", dir=target.absolute().parent)
    try:
        new = Path(place) / "new.zarr"
        write_omezarr(image, new, lambda _: None, more=planes_said(meta))
        if target.exists():
            os.replace(target, Path(place) / "old")
        os.replace(new, target)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return [path]
