"""What microscopes write: CZI (Zeiss), ND2 (Nikon), LIF (Leica), OIF and OIB (Olympus)."""

from __future__ import annotations

import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.reading.extras import needed
from napari_clickseg.data.reading.header import (
    Header,
    chosen_scene,
    scenes_notice,
    scenes_text,
)
from napari_clickseg.data.reading.lazy import Framed, Stored, full_index

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.data.reading.header import Spacing

_EXTRA = "microscopes"
_CZI_PIXELS = {
    "Gray8": (np.uint8, 1), "Gray16": (np.uint16, 1), "Gray32Float": (np.float32, 1),
    "Bgr24": (np.uint8, 3), "Bgr48": (np.uint16, 3), "Bgr96Float": (np.float32, 3),
}  # fmt: skip
_LARGE_PLANE = 4096**2  # pixels from which a CZI is looked at from afar by its own pyramid
_COARSEST = 1024  # pixels along the longer side of the last level


def read_czi(
    path: Path, *, ids: bool = False, scene: int | None = None, as_shown: bool = True
) -> Header:
    """Read what a CZI says of itself; tiles come out as one plane."""
    czi = needed(path, "pylibCZIrw.czi", _EXTRA)
    with czi.open_czi(str(path)) as file:
        rectangles = dict(file.scenes_bounding_rectangle)
        numbers = sorted(rectangles)
        names = [f"scene {number}" for number in numbers]
        at = chosen_scene(path, names, scene)
        number = numbers[at] if numbers else None
        box = rectangles[number] if number is not None else file.total_bounding_rectangle
        channels = {int(c): str(kind) for c, kind in file.pixel_types.items()}
        bounds = file.total_bounding_box
        spacing, said = _czi_spacing(file.metadata), _czi_channels(file.metadata)
    kinds = set(channels.values())
    if len(kinds) != 1 or not kinds <= _CZI_PIXELS.keys():
        raise ImageError(
            f"{path} has channels of the kinds {', '.join(sorted(kinds)) or 'none'}; save those "
            "of one kind as a file of their own."
        )
    dtype, samples = _CZI_PIXELS[kinds.pop()]
    lead = [axis for axis in bounds if axis not in "XYSM"]
    starts = {axis: int(bounds[axis][0]) for axis in lead}
    sizes = [int(bounds[axis][1]) - starts[axis] for axis in lead]
    plane = (int(box.h), int(box.w))
    shape = (*sizes, *plane, *((3,) if samples == 3 else ()))
    axes = "".join(lead) + "YX" + "S" * (samples == 3)

    def levels() -> Sequence[Any]:
        reader = czi.CziReader(str(path))
        lock = threading.Lock()
        arrays = [
            _CziLevel(reader, lock, number, tuple(box), starts, shape, np.dtype(dtype), zoom)
            for zoom in _zooms(plane)
        ]
        for array in arrays:
            weakref.finalize(array, _keep, reader)
        return [Stored(path, array, axes) for array in arrays]

    outer = dict(zip(lead, sizes, strict=True))
    planes = [{**outer, "Y": rectangles[n].h, "X": rectangles[n].w} for n in numbers]
    return Header(
        "CZI", shape, np.dtype(dtype), axes, levels, scenes_notice(names, at), spacing=spacing,
        scenes=scenes_text(names, planes), scene=at,
        channels=said if len(said) == outer.get("C") else (),
    )  # fmt: skip


def _keep(_: object) -> None:
    """Hold on to something until what depends on it is gone."""


def _zooms(plane: tuple[int, int]) -> list[float]:
    """Return how much smaller the levels of a plane are: 1, a half, a quarter and so on."""
    zooms = [1.0]
    while plane[0] * plane[1] > _LARGE_PLANE and max(plane) * zooms[-1] > _COARSEST:
        zooms.append(zooms[-1] / 2)
    return zooms


class _CziLevel:
    """An image in a CZI at a zoom, read window by window; steps of slices are above 0."""

    def __init__(
        self,
        reader: Any,
        lock: threading.Lock,
        scene: int | None,
        box: tuple[int, int, int, int],
        starts: Mapping[str, int],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        zoom: float,
    ) -> None:
        self._reader, self._lock, self._scene, self._box = reader, lock, scene, box
        self._starts, self._zoom, self.dtype = starts, zoom, dtype
        n = len(starts)
        plane = tuple(max(1, int(size * zoom)) for size in shape[n : n + 2])
        self.shape = (*shape[:n], *plane, *shape[n + 2 :])

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        wanted = full_index(index, self.ndim)
        n = len(self._starts)
        rows, columns = (
            range(*each.indices(size)) if isinstance(each, slice) else range(each, each + 1)
            for each, size in zip(wanted[n : n + 2], self.shape[n : n + 2], strict=True)
        )
        if not (rows and columns):
            empty: npt.NDArray[Any] = np.zeros(self.shape, self.dtype)[tuple(wanted)]
            return empty
        window = Framed(
            (*self.shape[:n], len(rows), len(columns), *self.shape[n + 2 :]),
            self.dtype,
            n,
            partial(self._window, rows, columns),
        )
        inner = [slice(None) if isinstance(each, slice) else 0 for each in wanted[n : n + 2]]
        return window[(*wanted[:n], *inner, *wanted[n + 2 :])]

    def _window(self, rows: range, columns: range, at: tuple[int, ...]) -> npt.NDArray[Any]:
        """Read rows and columns of one plane."""
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        back = round(1 / self._zoom)
        roi = (
            self._box[0] + left * back,
            self._box[1] + top * back,
            (right - left) * back,
            (bottom - top) * back,
        )
        plane = {axis: start + i for (axis, start), i in zip(self._starts.items(), at, strict=True)}
        with self._lock:
            values: npt.NDArray[Any] = self._reader.read(
                roi=roi, plane=plane, scene=self._scene, zoom=self._zoom
            )
        values = values[: bottom - top : rows.step, : right - left : columns.step]
        return values[..., ::-1] if values.shape[-1] == 3 else values[..., 0]


def _czi_channels(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the channels; none where one has no name."""
    try:
        image = metadata["ImageDocument"]["Metadata"]["Information"]["Image"]
        listed = image["Dimensions"]["Channels"]["Channel"]
        every = listed if isinstance(listed, list) else [listed]
        return tuple(str(one["@Name"]) for one in every)
    except (KeyError, TypeError):
        return ()


def _czi_spacing(metadata: Mapping[str, Any]) -> Spacing | None:
    """Return the size of pixels, which CZI keeps in metres."""
    try:
        items = metadata["ImageDocument"]["Metadata"]["Scaling"]["Items"]["Distance"]
        every = items if isinstance(items, list) else [items]
        sizes = {str(one["@Id"]): float(one["Value"]) * 1e6 for one in every}
        return sizes.get("Z"), sizes["Y"], sizes["X"], "µm"
    except (KeyError, TypeError, ValueError):
        return None


def read_nd2(
    path: Path, *, ids: bool = False, scene: int | None = None, as_shown: bool = True
) -> Header:
    """Read what an ND2 says of itself; its positions (P) are an axis."""
    nd2 = needed(path, "nd2", _EXTRA)
    chosen_scene(path, [""], scene)
    with nd2.ND2File(path) as file:
        sizes, dtype = dict(file.sizes), np.dtype(file.dtype)
        spacing = _nd2_spacing(file, deep="Z" in sizes)
        channels = _nd2_channels(file)
    sizes.setdefault("Y", 1)  # which the package leaves out where they are 1
    sizes.setdefault("X", 1)
    shape, axes = tuple(sizes.values()), "".join(sizes)

    def levels() -> Sequence[Any]:
        file = nd2.ND2File(path)
        array = file.to_dask().reshape(shape)
        weakref.finalize(array, file.close)
        return [Stored(path, array, axes)]

    named = channels if len(channels) == sizes.get("C") else ()
    return Header("ND2", shape, dtype, axes, levels, spacing=spacing, channels=named)


def _nd2_channels(file: Any) -> tuple[str, ...]:
    """Return the names of the channels; none where the package does not find them."""
    try:
        return tuple(str(one.channel.name) for one in file.metadata.channels)
    except Exception:  # noqa: BLE001  (it fails in many ways at what it does not know)
        return ()


def _nd2_spacing(file: Any, *, deep: bool) -> Spacing | None:
    """Return the size of pixels where it was calibrated; the package says 1 where it was not."""
    try:
        volume = file.metadata.channels[0].volume
        if not all(volume.axesCalibrated[:2]):
            return None
        x, y, z = (float(size) for size in volume.axesCalibration)
    except Exception:  # noqa: BLE001  (it fails in many ways at what it does not know)
        return None
    return (z if deep and volume.axesCalibrated[2] else None), y, x, "µm"


def read_lif(
    path: Path, *, ids: bool = False, scene: int | None = None, as_shown: bool = True
) -> Header:
    """Read what a LIF says of itself: of several images one is taken."""
    liffile = needed(path, "liffile", _EXTRA)
    with liffile.LifFile(path) as file:
        names = [str(image.name) for image in file.images]
        if not names:
            raise ImageError(f"{path} cannot be read as an image: it holds none.")
        sizes_of = [dict(image.sizes) for image in file.images]
        at = chosen_scene(path, names, scene, _largest(sizes_of))
        image = file.images[at]
        shape, dtype = tuple(image.shape), np.dtype(image.dtype).newbyteorder("=")
        dims = [str(name)[:1] for name in image.dims]
        spacing, said = _lif_spacing(image), _lif_channels(image)
        framed = tuple(image.frames.frame_dims)
    axes = "".join("Q" if dims.index(name) < i else name for i, name in enumerate(dims))
    lead = len(axes) - len(framed)

    def levels() -> Sequence[Any]:
        opened = liffile.LifFile(path)
        frames = opened.images[at].frames
        array = Framed(shape, dtype, lead, lambda index: np.asarray(frames[index], dtype))
        weakref.finalize(array, opened.close)
        return [Stored(path, array, axes)]

    return Header(
        "LIF", shape, dtype, axes, levels, scenes_notice(names, at), spacing=spacing,
        scenes=scenes_text(names, sizes_of), scene=at,
        channels=said if len(said) == sizes_of[at].get("C") else (),
    )  # fmt: skip


def _largest(sizes: Sequence[Mapping[str, int]]) -> int:
    """Return which image has the largest plane; the first of those."""
    return max(range(len(sizes)), key=lambda i: sizes[i].get("Y", 0) * sizes[i].get("X", 0))


def _lif_channels(image: Any) -> tuple[str, ...]:
    """Return the colours of the channels, which is what LIF calls them."""
    descriptions = image.xml_element.iterfind(
        "./Data/Image/ImageDescription/Channels/ChannelDescription"
    )
    each = sorted(descriptions, key=lambda one: int(one.get("BytesInc", 0)))
    return tuple(str(one.get("LUTName", "")) for one in each)


def _lif_spacing(image: Any) -> Spacing | None:
    """Return the size of pixels: LIF says where the first and the last one are, in metres."""
    steps = {
        name: abs(float(at[1] - at[0])) * 1e6 for name, at in image.coords.items() if len(at) > 1
    }
    if not (steps.get("Y") and steps.get("X")):
        return None
    return steps.get("Z") or None, steps["Y"], steps["X"], "µm"


def read_oif(
    path: Path, *, ids: bool = False, scene: int | None = None, as_shown: bool = True
) -> Header:
    """Read what an OIB, or an OIF with the folder beside it, says of itself."""
    oiffile = needed(path, "oiffile", _EXTRA)
    chosen_scene(path, [""], scene)
    with oiffile.OifFile(path) as file:
        if not file.series:
            raise ImageError(f"{path} cannot be read as an image: it holds none.")
        series = file.series[0]
        first = file.asarray(series[0])
        # The names of files say more of axes than `mainfile`, which lists those not used, too.
        names = "".join(series.dims) if series.shape != () else ""
        lead, files = tuple(int(n) for n in series.shape), list(series)
        order = [tuple(int(i) for i in index) for index in series.indices]
        spacing = _oif_spacing(file.mainfile)
    by_index = dict(zip(order, files, strict=True))
    shape, dtype = (*lead, *first.shape), first.dtype.newbyteorder("=")
    axes = names + ("YXS" if first.ndim == 3 else "YX")

    def levels() -> Sequence[Any]:
        opened = oiffile.OifFile(path)

        def frame(at: tuple[int, ...]) -> npt.NDArray[Any]:
            if at not in by_index:
                raise ImageError(f"{path} lacks the plane {at}; put its other files beside it.")
            return np.asarray(opened.asarray(by_index[at]), dtype)

        array = Framed(shape, dtype, len(lead), frame)
        weakref.finalize(array, opened.close)
        return [Stored(path, array, axes)]

    return Header("OIF", shape, dtype, axes, levels, spacing=spacing)


def _oif_spacing(settings: Mapping[str, Any]) -> Spacing | None:
    """Return the size of pixels: OIF says where the first and the last one are."""
    sizes: dict[str, float] = {}
    units: dict[str, str] = {}
    for number in range(8):
        try:
            axis = settings[f"Axis {number} Parameters Common"]
            name, n = str(axis["AxisCode"]), int(axis["MaxSize"])
            length = abs(float(axis["EndPosition"]) - float(axis["StartPosition"]))
            sizes[name] = length / (n if name in "XY" else max(1, n - 1))
            units[name] = str(axis.get("UnitName", "")).strip('"')
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            continue
    if not (sizes.get("Y") and sizes.get("X")) or units["Y"] != units["X"]:
        return None
    factor = 1e-3 if units.get("Z") == "nm" and units["Y"] == "um" else 1.0
    known = sizes.get("Z") and (factor != 1.0 or units.get("Z") == units["Y"])
    return (sizes["Z"] * factor if known else None), sizes["Y"], sizes["X"], units["Y"]
