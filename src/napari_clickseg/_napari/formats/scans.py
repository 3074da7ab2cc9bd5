"""Images of microscopes and scanners as layers, read plane by plane as they are looked at.

Of a file with several images one is opened, and the Files widget lists them all.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari import current_viewer
from napari.utils.notifications import show_info

from napari_clickseg._napari.viewer.layers import unwrapped
from napari_clickseg._napari.viewer.pixels import placed
from napari_clickseg._napari.viewer.private import open_widget
from napari_clickseg.core.source import ImageError
from napari_clickseg.data.images import open_image, read_header
from napari_clickseg.data.names import image_stem
from napari_clickseg.data.pixel_size import read_pixel_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.types import LayerDataTuple

    from napari_clickseg.data.images import StoredImage
    from napari_clickseg.data.reading.header import Header

EACH, SLIDER = "each", "slider"  # what becomes of channels: a layer each, or a slider of one layer
_CHUNK = 2048  # pixels along a side that are read at once
_KINDS = ("CZI", "ND2", "LIF", "OIF", "NIfTI")
_MOST = 8  # channels, beyond which a viewer becomes a heap of layers
_CYCLE = ("cyan", "magenta", "yellow", "red", "green", "blue")
_TWO = ("magenta", "green")  # as napari shows two channels
_NAMED = {*_CYCLE, "gray"}


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerDataTuple]] | None:
    """Return what opens an image of a microscope or scanner; None of other files.

    A package that lacks is no reason for None: the message that names it is told on opening.
    """
    return _open if isinstance(path, str) and Path(path).is_file() else None


def _open(path: str) -> list[LayerDataTuple]:
    source = Path(path)
    header = read_header(source)
    if header.kind not in _KINDS:
        raise ValueError(f"{source} is a {header.kind} by another name; rename it.")
    layers = scan_layers(source)
    if header.notices:
        show_info(" ".join(f"{source.name}: {text}" for text in header.notices))
    if header.scenes:
        _list_scenes(source)
    return layers


def _list_scenes(source: Path) -> None:
    """Show all images of a file in the Files widget, if the viewer has a window."""
    viewer = current_viewer()
    if getattr(viewer, "window", None) is None:
        return
    widget = open_widget(unwrapped(viewer), "Files")
    widget.turn_to("Images in a file")
    widget.state.scan = str(source)


def channel_names(header: Header) -> tuple[str, ...]:
    """Return the names of an image's channels, each other than the rest; none without any."""
    count = header.shape[header.axes.index("C")] if "C" in header.axes else 0
    if len(set(header.channels)) == count and all(header.channels):
        return header.channels
    named = header.channels or ("",) * count
    return tuple(f"channel {at} {name}".strip() for at, name in enumerate(named))


def scan_layers(
    source: Path, scene: int | None = None, channels: str | int = EACH
) -> list[LayerDataTuple]:
    """Return the layers of an image of a file, whose pixels are read as they are looked at.

    Parameters
    ----------
    scene : int, optional
        Which of its images, as of `read_header`.
    channels : str or int
        `EACH` for a layer each, `SLIDER` for all in one layer, or the number of the only one.

    Raises
    ------
    ImageError
        If it can't be read, or has no such scene or channel.
    """
    header, stored = read_header(source, scene=scene), open_image(source, scene=scene)
    name = image_stem(source.name)
    if header.scenes:
        name = f"{name} {header.scenes[header.scene].split(', ')[0]}"
    names = channel_names(header)
    size = read_pixel_size(source, scene)
    one = isinstance(channels, int)
    if not names or channels == SLIDER or (not one and len(names) > _MOST):
        return [_layer(stored, stored.levels, stored.axes, name, size)]
    if one and int(channels) >= len(names):
        raise ImageError(f"{name} has no channel {channels}; it has {len(names)}.")
    layers, axis = [], stored.axes.index("C")
    axes, colours = stored.axes.replace("C", ""), _colours(names)
    for at, channel in enumerate(names):
        if one and at != channels:
            continue
        part = [
            _lazily(level, stored.axes)[(slice(None),) * axis + (at,)] for level in stored.levels
        ]
        titled = f"{name} [{channel}]" if len(names) > 1 else name
        data, meta, kind = _layer(stored, part, axes, titled, size)
        if len(names) > 1 and not one and not meta["rgb"]:
            meta |= {"colormap": colours[at], "blending": "additive"}
        layers.append((data, meta, kind))
    return layers


def _layer(
    stored: StoredImage, given: Sequence[Any], axes: str, name: str, size: Any
) -> LayerDataTuple:
    rgb = axes.endswith("S") and given[0].shape[-1] in (3, 4)
    levels = [_lazily(level, axes) for level in given]
    shown = axes[:-1] if rgb else axes
    meta: dict[str, Any] = {"name": name, "rgb": rgb}
    meta |= placed(size, shown)
    meta["axis_labels"] = tuple(axis.lower() for axis in shown)
    if len(levels) > 1:
        meta["multiscale"] = True
    elif not rgb:
        meta["contrast_limits"] = _limits(levels[0])
    return (levels if len(levels) > 1 else levels[0], meta, "image")


def _lazily(level: Any, axes: str) -> Any:
    """Return a level as napari reads it, chunk by chunk."""
    import dask.array as da

    if isinstance(level, da.Array):
        return level
    chunks = tuple(
        min(int(n), _CHUNK) if axis in "YXS" else 1
        for axis, n in zip(axes, level.shape, strict=True)
    )
    return da.from_array(level, chunks=chunks, asarray=False)  # type: ignore[no-untyped-call]


def _colours(names: Sequence[str]) -> list[str]:
    """Return a colour for each channel: those they are called after, or as napari chooses them."""
    words = [name.lower().split()[-1].replace("grey", "gray") for name in names]
    if set(words) <= _NAMED and len(set(words)) == len(words):
        return words
    return [*_TWO] if len(names) == 2 else [_CYCLE[at % len(_CYCLE)] for at in range(len(names))]


def _limits(level: Any) -> tuple[float, float]:
    """Return limits of contrast of the middle plane: napari would look at the first, often dark."""
    plane = np.asarray(level[tuple(n // 2 for n in level.shape[:-2])])
    low, high = float(np.nanmin(plane)), float(np.nanmax(plane))
    return (low, high) if high > low else (low, low + 1)
