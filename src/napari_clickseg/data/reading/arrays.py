"""Arrays as numpy and zarr keep them: .npy, Zarr and OME-Zarr (versions 0.4 and 0.5)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.source import MAX_CHANNELS, ImageError
from napari_clickseg.data.reading.header import (
    KINDS,
    Header,
    check_file,
    check_pieces,
    chosen_scene,
    guessed_axes,
    scenes_notice,
    scenes_text,
)
from napari_clickseg.data.reading.lazy import Stored

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
_LARGEST_METADATA = 16 * 1024**2  # bytes
_MOST_LEVELS = 64


def read_npy(path: Path) -> Header:
    """Read what a .npy file says of itself; its pixels stay on disk."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    axes = guessed_axes(array.shape, array.dtype, MAX_CHANNELS)
    return Header(".npy", array.shape, array.dtype, axes, lambda: (array,))


def read_zarr(path: Path, *, scene: int | None = None) -> Header:
    """Read what a Zarr array, or the first image of an OME-Zarr group, says of itself."""
    import zarr

    from napari_clickseg.data.reading.blosc import CheckedStore  # which imports zarr, too

    for name in _METADATA:
        if (path / name).is_symlink() or (path / name).exists():
            check_file(path / name)
            if (path / name).stat().st_size > _LARGEST_METADATA:
                raise ImageError(f"{path} cannot be read as an image: its metadata is too long.")
    try:
        store = CheckedStore.of(path)
        node = zarr.open(store, mode="r")
    except FileNotFoundError:
        raise ImageError(
            f"{path} is a folder but no Zarr; give an image file or a .zarr folder ({KINDS})."
        ) from None
    if isinstance(node, zarr.Array):
        chosen_scene(path, [""], scene)
        store.check(node)
        return _header(path, [node], "")
    attributes: dict[str, Any] = json.loads(json.dumps(dict(node.attrs)))
    multiscales = attributes.get("ome", attributes).get("multiscales")
    if not multiscales:
        arrays = [array for _, array in sorted(node.arrays())]
        if len(arrays) != 1:
            raise ImageError(
                f"{path} is a Zarr group without an OME-Zarr image; give the path of an array in "
                "it."
            )
        chosen_scene(path, [""], scene)
        store.check(arrays[0])
        return _header(path, arrays, "")
    names = [str(each.get("name", "")) for each in multiscales]
    chosen = multiscales[at := chosen_scene(path, names, scene)]
    levels: list[Any] = [node[each["path"]] for each in chosen["datasets"][:_MOST_LEVELS]]
    for level in levels:
        store.check(level)
    axes = [a if isinstance(a, str) else a["name"] for a in chosen.get("axes", [])]
    notices = scenes_notice(names, at)
    named = "".join(str(axis)[:1].upper() for axis in axes)
    header = _header(path, levels, named if len(named) == levels[0].ndim else "", notices)
    return replace(header, scenes=scenes_text(names, [{} for _ in names]), scene=at)


def _header(path: Path, levels: Sequence[Any], axes: str, notices: tuple[str, ...] = ()) -> Header:
    first = levels[0]
    shape = tuple(int(n) for n in first.shape)
    axes = axes or guessed_axes(shape, np.dtype(first.dtype), MAX_CHANNELS)
    if "Y" in axes and "X" in axes:
        for level in levels:
            _check(path, level, axes)
    read = [Stored(path, level, axes) for level in levels if level.ndim == len(axes)]
    return Header("Zarr", shape, np.dtype(first.dtype), axes, lambda: read, notices)


def _check(path: Path, level: Any, axes: str) -> None:
    """See that windows of a level can be read chunk by chunk."""
    if level.ndim != len(axes):
        raise ImageError(f"{path} is broken: its levels have different axes.")
    y, x = axes.index("Y"), axes.index("X")
    shape, chunks = level.shape, level.chunks
    nbytes = int(np.prod(chunks, dtype=object)) * np.dtype(level.dtype).itemsize
    check_pieces(path, (chunks[y], chunks[x]), (shape[y], shape[x]), nbytes)
