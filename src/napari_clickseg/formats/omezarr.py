"""OME-Zarr 0.5: labels as a pyramid with colours and properties, within their image if it is known.

Read are 0.4 and 0.5.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.images import open_image
from napari_clickseg.data.pixel_size import read_pixel_size
from napari_clickseg.formats.annotated import AnnotatedImage, FormatError, ids_of
from napari_clickseg.formats.external_objects import ExternalFile, ExternalImage
from napari_clickseg.formats.texts import rgb_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.data.pixel_size import PixelSize
    from napari_clickseg.formats.problems import Problems

_CHUNK = 1024
_COARSEST = 512  # pixels of the longer side from which on no level is added
_TYPES = {"Y": "space", "X": "space", "Z": "space", "T": "time", "C": "channel"}
_LONG_UNITS = {
    "pm": "picometer", "Å": "angstrom", "nm": "nanometer", "µm": "micrometer",
    "mm": "millimeter", "cm": "centimeter", "m": "meter",
}  # fmt: skip
_NAME, _VERSION = "annotation", "0.5"
_MOST_COLOURS = 100_000


def write_omezarr(
    image: AnnotatedImage,
    folder: Path,
    note: Callable[[str], object],
    *,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write a group: the image with labels/annotation in it, or the labels alone.

    Parameters
    ----------
    more : mapping, optional
        Is kept beside what is known of the objects.
    """
    import zarr

    root = zarr.open_group(str(folder), mode="w", zarr_format=3)
    where = root
    if image.image is not None and image.labels.ndim == 2:
        _write_image(root, image)
        labels = root.create_group("labels")
        labels.attrs["ome"] = {"version": _VERSION, "labels": [_NAME]}
        where = labels.create_group(_NAME)
    elif image.image is not None:
        note(f"{image.name}: of a stack the labels alone are written.")
    axes = _known_axes(image.axes)
    levels = _levels(where, _storable(image.labels), axes, nearest=True)
    where.attrs["ome"] = {
        "version": _VERSION,
        "multiscales": [_multiscale(_NAME, axes, image.pixel_size, levels)],
        "image-label": _label_attributes(image, inside=where is not root),
    }
    where.attrs["clickseg"] = image.sidecar() | dict(more or {})


def _known_axes(axes: str) -> str:
    """Return axes that OME-Zarr knows: an axis of no known kind is one of planes, or of time."""
    named = list(axes)
    free = [name for name in "ZTC" if name not in named]
    for at, name in enumerate(named):
        if name not in _TYPES:
            if not free:
                raise FormatError(f"OME-Zarr has no axes like {axes}.")
            named[at] = free.pop(0)
    return "".join(named)


def _storable(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return labels of a kind that all readers know: whole numbers of at most 32 bits."""
    if labels.dtype.kind == "u" and labels.dtype.itemsize <= 4:
        return labels  # perhaps lazy
    labels = np.asarray(labels)
    if labels.dtype == np.bool_:
        return labels.astype(np.uint8)
    high = int(labels.max(initial=0))
    if labels.dtype.itemsize > 4 or labels.dtype.kind == "i":
        return labels.astype(np.uint16 if high < 1 << 16 else np.uint32)
    return labels


def _write_image(root: Any, image: AnnotatedImage) -> None:
    assert image.image is not None
    plane = open_image(image.image).plane()
    pixels = plane.read_all()
    channels = pixels.ndim == 3
    axes = "CYX" if channels else "YX"
    pixels = np.moveaxis(pixels, -1, 0) if channels else pixels
    levels = _levels(root, np.ascontiguousarray(pixels), axes, nearest=False)
    about: dict[str, Any] = {"version": _VERSION}
    about["multiscales"] = [_multiscale(image.name, axes, image.pixel_size, levels)]
    if plane.rgb:
        colours = ("FF0000", "00FF00", "0000FF")
        top = 255.0 if pixels.dtype == np.uint8 else float(pixels.max(initial=1))
        window = {"min": 0.0, "max": top, "start": 0.0, "end": top}
        about["omero"] = {
            "channels": [
                {"label": name, "color": colour, "active": True, "window": window}
                for name, colour in zip("RGB", colours, strict=True)
            ],
            "rdefs": {"model": "color"},
        }
    root.attrs["ome"] = about


def begin_labels(folder: Path, shape: Sequence[int], dtype: Any, axes: str = "YX") -> Any:
    """Begin a group of labels that are written part by part; `finish_labels` ends it.

    Parameters
    ----------
    folder : Path
        Of the group; what is there is replaced.
    shape, dtype, axes
        Of the labels.

    Returns
    -------
    zarr.Array
        Full resolution, without any label; takes values where it is indexed by slices.
    """
    import zarr

    root = zarr.open_group(str(folder), mode="w", zarr_format=3)
    return _level(root, 0, tuple(shape), np.dtype(dtype), _known_axes(axes))


def finish_labels(
    folder: Path, image: AnnotatedImage, *, more: Mapping[str, Any] | None = None
) -> None:
    """Make the pyramid of labels that were begun, and write what is known of them.

    Parameters
    ----------
    folder : Path
        Of the group.
    image : AnnotatedImage
        What is known. Its labels say which ids there are, in a map of any size.
    more : mapping, optional
        As of `write_omezarr`.
    """
    import zarr

    root = zarr.open_group(str(folder), mode="r+")
    axes = _known_axes(image.axes)
    levels = _coarser(root, root["0"], axes, nearest=True)
    root.attrs["ome"] = {
        "version": _VERSION,
        "multiscales": [_multiscale(_NAME, axes, image.pixel_size, levels)],
        "image-label": _label_attributes(image, inside=False),
    }
    root.attrs["clickseg"] = image.sidecar() | dict(more or {})


def finish_like(folder: Path, other: Path, ids: Collection[int], more: Mapping[str, Any]) -> None:
    """Make the pyramid of labels that were begun, and say of them what is said of others.

    All that is said of those others is kept as `found`, and is gone by where it is there, so
    objects that are gone come back with their pixels.

    Parameters
    ----------
    folder, other : Path
        Of the two groups; their levels have the same shapes.
    ids : collection of int
        Those that there are; what is said of any other object is left out.
    more : mapping
        As of `write_omezarr`.
    """
    import zarr

    root: Any = zarr.open_group(str(folder), mode="r+")
    said: dict[str, Any] = zarr.open_group(str(other), mode="r").attrs.asdict()
    known: dict[str, Any] = said.get("found") or {name: said[name] for name in ("ome", "clickseg")}
    axes = "".join(str(axis["name"]).upper() for axis in known["ome"]["multiscales"][0]["axes"])
    _coarser(root, root["0"], axes, nearest=True)
    label = {
        key: [one for one in value if one.get("label-value") in ids]
        if key in ("colors", "properties")
        else value
        for key, value in known["ome"].get("image-label", {}).items()
    }
    ours = dict(known["clickseg"])
    if "objects" in ours:
        ours["objects"] = [one for one in ours["objects"] if one.get("id") in ids]
    root.attrs["ome"] = {**known["ome"], "image-label": label}
    root.attrs["clickseg"] = ours | dict(more)
    root.attrs["found"] = known


def _levels(group: Any, array: npt.NDArray[Any], axes: str, *, nearest: bool) -> list[int]:
    """Write the levels of a pyramid, and return how many pixels one of each stands for."""
    stored = _level(group, 0, array.shape, array.dtype, axes)
    _copy(stored, array)
    return _coarser(group, stored, axes, nearest=nearest)


def _level(group: Any, number: int, shape: tuple[int, ...], dtype: Any, axes: str) -> Any:
    """Make an empty level."""
    return group.create_array(
        str(number),
        shape=shape,
        chunks=tuple(min(n, _CHUNK) if a in "YX" else 1 for n, a in zip(shape, axes, strict=True)),
        dtype=dtype,
        dimension_names=list(axes.lower()),
        fill_value=0,
    )


def _coarser(group: Any, stored: Any, axes: str, *, nearest: bool) -> list[int]:
    """Write the other levels, block by block, and return how many pixels one of each stands for."""
    factors = [1]
    while max(stored.shape[-2:]) > _COARSEST:
        finer, even = stored, nearest or min(stored.shape[-2:]) < 2
        plane = [-(-n // 2) if even else n // 2 for n in finer.shape[-2:]]
        shape = (*finer.shape[:-2], *plane)
        stored = _level(group, len(factors), shape, finer.dtype, axes)
        steps = [range(n) for n in shape[:-2]] + [range(0, n, _CHUNK) for n in plane]
        for *index, top, left in itertools.product(*steps):
            ends = [min(at + _CHUNK, n) for at, n in zip((top, left), plane, strict=True)]
            wanted = (slice(2 * top, 2 * ends[0]), slice(2 * left, 2 * ends[1]))
            part = _halved(np.asarray(finer[(*index, *wanted)]), even)
            if part.any():  # chunks without a label take no room
                stored[(*index, slice(top, ends[0]), slice(left, ends[1]))] = part
        factors.append(factors[-1] * 2)
    return factors


def _copy(stored: Any, array: Any) -> None:
    """Write an array that may be lazy, in strips; chunks without a label take no room."""
    for index in np.ndindex(*(int(n) for n in array.shape[:-2])):
        for top in range(0, int(array.shape[-2]), _CHUNK):
            key = (*index, slice(top, top + _CHUNK), slice(None))
            part = np.asarray(array[key])
            if part.any():
                stored[key] = part


def _halved(array: npt.NDArray[Any], nearest: bool) -> npt.NDArray[Any]:
    """Return every second pixel of labels, or the means of four pixels of an image."""
    if nearest:
        return array[..., ::2, ::2]
    four = [array[..., y::2, x::2].astype(np.float32) for y in (0, 1) for x in (0, 1)]
    mean = sum(four[1:], four[0]) / 4
    if array.dtype.kind == "f":
        return np.asarray(mean, array.dtype)
    return np.asarray(np.rint(mean), array.dtype)


def _multiscale(
    name: str, axes: str, size: PixelSize | None, factors: Sequence[int]
) -> dict[str, Any]:
    unit = None if size is None else _LONG_UNITS[size.unit]
    named: list[dict[str, Any]] = [{"name": a.lower(), "type": _TYPES[a]} for a in axes]
    if unit is not None:
        for axis in named:
            if axis["type"] == "space" and not (axis["name"] == "z" and size and size.z is None):
                axis["unit"] = unit
    one = {"Y": 1.0, "X": 1.0} if size is None else {"Y": size.y, "X": size.x, "Z": size.z or 1.0}
    sets = []
    for level, factor in enumerate(factors):
        scale = [one.get(a, 1.0) * (factor if a in "YX" else 1) for a in axes]
        change = {"type": "scale", "scale": scale}
        sets.append({"path": str(level), "coordinateTransformations": [change]})
    return {"name": name, "axes": named, "datasets": sets}


def _label_attributes(image: AnnotatedImage, *, inside: bool) -> dict[str, Any]:
    said: dict[str, Any] = {}
    rows = image.rows()
    ids = ids_of(image.labels)[:_MOST_COLOURS].tolist()
    coloured = [(i, rows[i].class_id) for i in ids if i in rows and rows[i].class_id is not None]
    if coloured:
        said["colors"] = [
            {"label-value": i, "rgba": [*rgb_of(image.colour_of(one)), 255]} for i, one in coloured
        ]
    known = [rows[i] for i in ids if i in rows]
    if known:
        said["properties"] = [
            {"label-value": row.id}
            | ({"class": row.class_name} if row.class_name else {})
            | ({"score": row.score} if row.score is not None else {})
            | ({"clicks": row.clicks} if row.clicks is not None else {})
            | ({"model": row.model} if row.model else {})
            for row in known
        ]
    if inside:
        said["source"] = {"image": "../../"}
    return said


def labels_in(folder: Path) -> list[Path]:
    """Return the groups of labels in an OME-Zarr folder: its own labels/, or itself."""
    attributes = _attributes(folder)
    if "image-label" in attributes:
        return [folder]
    listed = _attributes(folder / "labels").get("labels")
    names = listed if isinstance(listed, list) else []
    inside = [folder / "labels" / str(name) for name in names]
    return [path for path in inside if path.parent == folder / "labels" and path.is_dir()]


def saved_in(folder: Path) -> dict[str, Any] | None:
    """Return what a group of labels that was written here says of its objects; else None."""
    saved = _attributes(folder).get("clickseg")
    return saved if isinstance(saved, dict) else None


def _attributes(folder: Path) -> dict[str, Any]:
    for name in ("zarr.json", ".zattrs"):
        try:
            said = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        said = said.get("attributes", said) if isinstance(said, dict) else {}
        said = {**said, **said["ome"]} if isinstance(said.get("ome"), dict) else said
        return dict(said)
    return {}


def read_omezarr(path: Path, problems: Problems) -> ExternalFile:
    """Read the labels of an OME-Zarr image, versions 0.4 and 0.5; the first where there are more.

    Raises
    ------
    FormatError
        If there are none.
    """
    groups = labels_in(path)
    if not groups:
        raise FormatError(f"{path} holds no labels (labels/ of an OME-Zarr image).")
    if len(groups) > 1:
        names = ", ".join(group.name for group in groups)
        problems.note(f"{path} holds several labels ({names}); the first is used.")
    group = groups[0]
    attributes = _attributes(group)
    stem = path.name.removesuffix(".zarr").removesuffix(".ome")
    read = _reader(group)
    empty = AnnotatedImage(stem, np.zeros((1, 1), np.uint8))
    saved = attributes.get("clickseg")
    known = empty.with_sidecar(saved) if isinstance(saved, dict) else empty
    image = ExternalImage(
        known.file or stem,
        mask=read,
        notes=known.annotations,
        pixel_size=known.pixel_size or read_pixel_size(group),
        images=(path,) if group != path else (),
    )
    return ExternalFile((image,), known.classes)


def _reader(group: Path) -> Callable[[], npt.NDArray[Any]]:
    def read() -> npt.NDArray[Any]:
        from napari_clickseg.data.masks import read_labels

        return read_labels(group)

    return read
