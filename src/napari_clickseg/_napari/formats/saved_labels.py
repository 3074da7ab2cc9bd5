"""Labels that were saved by the writers here, opened again with all that is known of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.formats.annotated_layers import object_classes
from napari_clickseg._napari.viewer.colours import colours_of, label_colormap
from napari_clickseg._napari.viewer.features import features_of, with_notes
from napari_clickseg._napari.viewer.metadata import with_classes
from napari_clickseg._napari.viewer.pixels import placed
from napari_clickseg.data.images import open_image
from napari_clickseg.data.pixel_size import PixelSize, read_pixel_size
from napari_clickseg.formats.annotated import AnnotatedImage, read_sidecar
from napari_clickseg.formats.omezarr import saved_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.types import LayerDataTuple

_SMALL, _CHUNK = 1 << 24, 1024  # pixels


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerDataTuple]] | None:
    """Return what opens labels that were saved with what is known of them; else None."""
    if not isinstance(path, str) or _saved(Path(path)) is None:
        return None
    return _open


def _saved(path: Path) -> dict[str, Any] | None:
    try:
        return saved_in(path) if path.is_dir() else read_sidecar(path)
    except (OSError, ValueError):
        return None


def _open(path: str) -> list[LayerDataTuple]:
    source = Path(path)
    saved = _saved(source) or {}
    stored = open_image(source, ids=True)
    levels = [_array(level) for level in stored.levels]
    data: Any = levels if len(levels) > 1 else levels[0]
    name = source.name.removesuffix(source.suffix).removesuffix(".ome")
    image = AnnotatedImage(name, stored.levels[0], axes=stored.axes).with_sidecar(saved)
    notes = image.annotations
    of_each = object_classes(image, saved)
    size = _size(image, source)
    metadata = with_classes(image.classes, of_each) | with_notes(notes.objects)
    meta: dict[str, Any] = {"name": name, "metadata": metadata}
    meta |= placed(size, stored.axes)
    meta["axis_labels"] = tuple(axis.lower() for axis in stored.axes)
    if notes.classes or notes.objects:
        meta["features"] = features_of(image.classes, of_each.of_ids, notes.objects)
    colours = colours_of(image.classes)
    if colours:
        meta["colormap"] = label_colormap(colours)
    return [(data, meta, "labels")]


def _array(level: Any) -> Any:
    """Return a level as napari takes it: in memory where it is small, else read in chunks."""
    import dask.array as da

    if isinstance(level, np.ndarray):
        return level
    if int(np.prod(level.shape, dtype=object)) <= _SMALL:
        return np.asarray(level[(slice(None),) * len(level.shape)])
    chunks = tuple(_CHUNK if n > _CHUNK else n for n in level.shape)
    return da.from_array(level, chunks=chunks, asarray=False)  # type: ignore[no-untyped-call]


def _size(image: AnnotatedImage, path: Path) -> PixelSize | None:
    return image.pixel_size or read_pixel_size(path)
