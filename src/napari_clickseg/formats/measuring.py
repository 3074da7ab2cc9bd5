"""Measurements of objects: a row an object, in pixels and in physical units."""

from __future__ import annotations

import csv
import importlib
import itertools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.images import open_image
from napari_clickseg.formats.annotated import FormatError, ObjectRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.data.pixel_size import PixelSize
    from napari_clickseg.formats.annotated import AnnotatedImage

Measured = dict[str, Any]  # a row: what was measured of an object, by column

_ABOUT = ("image", "group", "plane", "id", "class", "score", "clicks", "model")
_FLAT = {
    "area": "area_px",
    "equivalent_diameter_area": "equivalent_diameter_px",
    "perimeter": "perimeter_px",
    "axis_major_length": "axis_major_px",
    "axis_minor_length": "axis_minor_px",
    "eccentricity": "eccentricity",
    "solidity": "solidity",
    "orientation": "orientation",
}
_SOLID = {"area": "volume_px", "equivalent_diameter_area": "equivalent_diameter_px"}
_PHYSICAL = ("area", "volume", "equivalent_diameter", "perimeter", "axis_major", "axis_minor")
_INTENSITY = ("mean", "std", "min", "max")
# The columns of planes, in their order, but for intensities, which follow by channels.
COLUMNS = (
    *_ABOUT, "y", "x", "top", "left", "bottom", "right", *_FLAT.values(), "unit",
    *(f"{name}_physical" for name in _PHYSICAL if name != "volume"),
)  # fmt: skip
_ENDINGS = (".csv", ".parquet")


def pixels_of(path: Path) -> npt.NDArray[Any]:
    """Read the image that intensities are measured in: its channels last, stack axes first.

    Raises
    ------
    ImageError
        If it can't be read, or is too large to be read whole.
    """
    stored = open_image(path, as_shown=False)
    sizes = [n for _, n in stored.stack_axes]
    planes = [stored.plane(index).read_all() for index in np.ndindex(*sizes)]
    return np.stack(planes).reshape(*sizes, *planes[0].shape) if sizes else planes[0]


def measured(
    image: AnnotatedImage, pixels: npt.NDArray[Any] | None = None, *, whole: bool = False
) -> Iterator[Measured]:
    """Yield what is measured of each object.

    Parameters
    ----------
    pixels : array, optional
        In which intensities are measured: the shape of the labels, and perhaps channels behind.
    whole : bool
        Of a stack of planes measure each object as a whole; otherwise each plane by itself.

    Raises
    ------
    FormatError
        If the image is of another size.
    """
    shape = image.labels.shape
    if pixels is not None and pixels.shape[: len(shape)] != shape:
        raise FormatError(
            f"{image.name}: the image is of the size {pixels.shape}, its labels of {shape}."
        )
    if pixels is not None and pixels.ndim == len(shape):
        pixels = pixels[..., None]
    rows = image.rows()
    if whole and image.labels.ndim == 3:
        yield from _of_part(image, image.labels, pixels, rows, "")
        return
    for index in np.ndindex(*shape[:-2]):
        at = "/".join(str(i) for i in index)
        part = None if pixels is None else pixels[index]
        yield from _of_part(image, image.labels[index], part, rows, at)


def _of_part(
    image: AnnotatedImage,
    labels: npt.NDArray[Any],
    pixels: npt.NDArray[Any] | None,
    rows: Mapping[int, ObjectRow],
    plane: str,
) -> Iterator[Measured]:
    from skimage.measure import regionprops

    compact, ids = _compact(labels, image.ignore)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of objects too thin to have a convex hull
        for region in regionprops(compact):
            identifier = int(ids[region.label - 1])
            row = rows.get(identifier) or ObjectRow(identifier)
            values: Measured = dict(
                zip(
                    _ABOUT,
                    (image.file or image.name, image.group, plane, identifier,
                     row.class_name, row.score, row.clicks, row.model),
                    strict=True,
                )
            )  # fmt: skip
            values |= _shape(region, image.pixel_size)
            if pixels is not None:
                inside = pixels[region.slice][region.image]
                for channel, name in itertools.product(range(inside.shape[1]), _INTENSITY):
                    value = getattr(np, name)(inside[:, channel].astype(np.float64))
                    values[f"intensity_{name}_{channel}"] = float(value)
            yield values


def _compact(
    labels: npt.NDArray[Any], ignore: int | None
) -> tuple[npt.NDArray[np.int32], npt.NDArray[Any]]:
    """Return labels numbered without gaps, as scikit-image wants them, and the id of each."""
    ids = np.unique(labels)
    ids = ids[(ids > 0) & (ids != (ignore if ignore is not None else 0))]
    at = np.searchsorted(ids, labels).astype(np.int32)
    known = at < len(ids)
    known[known] = ids[at[known]] == labels[known]
    return np.where(known, at + 1, 0).astype(np.int32), ids


def _shape(region: Any, size: PixelSize | None) -> Measured:
    flat = len(region.centroid) == 2
    values: Measured = {}
    for name, value in zip("zyx"[-len(region.centroid) :], region.centroid, strict=True):
        values[name] = float(value)
    names = ("top", "left", "bottom", "right") if flat else (
        "first_plane", "top", "left", "last_plane", "bottom", "right")  # fmt: skip
    ends = list(region.bbox)
    if not flat:
        ends[3] -= 1
    values |= dict(zip(names, (int(end) for end in ends), strict=True))
    for name, column in (_FLAT if flat else _SOLID).items():
        values[column] = float(region[name])
    if size is not None and (flat or size.z is not None):
        values["unit"] = size.unit
        values |= _physical(region, values, size, flat)
    return values


def _physical(region: Any, values: Measured, size: PixelSize, flat: bool) -> Measured:
    if not flat:
        volume = values["volume_px"] * size.y * size.x * (size.z or 1.0)
        diameter = (6 * volume / np.pi) ** (1 / 3)
        return {"volume_physical": volume, "equivalent_diameter_physical": float(diameter)}
    area = values["area_px"] * size.y * size.x
    said: Measured = {
        "area_physical": area,
        "equivalent_diameter_physical": float(np.sqrt(4 * area / np.pi)),
    }
    if size.y == size.x:
        names = ("perimeter", "axis_major", "axis_minor")
        return said | {f"{name}_physical": values[f"{name}_px"] * size.x for name in names}
    from skimage.measure import regionprops

    (stretched,) = regionprops(region.image.astype(np.uint8), spacing=(size.y, size.x))
    said["perimeter_physical"] = None  # its estimate is for square pixels
    said["axis_major_physical"] = float(stretched.axis_major_length)
    said["axis_minor_physical"] = float(stretched.axis_minor_length)
    return said


def check_table_path(path: Path) -> None:
    """Raise FormatError if a table can't be written to a path because of its kind."""
    if path.suffix.lower() not in _ENDINGS:
        raise FormatError(f"{path.name}: tables are written as .csv or .parquet; choose one.")
    if path.suffix.lower() == ".parquet":
        _arrow()


def write_table(rows: Iterable[Measured], path: Path) -> int:
    """Write rows into a CSV or Parquet file, and return how many there are.

    Parameters
    ----------
    rows : iterable of dict
        What a row lacks is empty.
    path : Path
        Ends in .csv or .parquet.
    """
    every = list(rows)
    names = list(dict.fromkeys(name for row in every for name in row)) or list(COLUMNS)
    ordered = [name for name in COLUMNS if name in names]
    ordered += [name for name in names if name not in COLUMNS]
    if path.suffix.lower() == ".parquet":
        _write_parquet(every, ordered, path)
        return len(every)
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(ordered)
        out.writerows([_cell(row.get(name)) for name in ordered] for row in every)
    return len(every)


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.10g}"
    return "" if value is None else value


def _arrow() -> Any:
    try:
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise FormatError(
            "Parquet needs the package pyarrow: pip install 'napari-clickseg[formats]'; or write a "
            ".csv."
        ) from error


def _write_parquet(rows: Sequence[Measured], names: Sequence[str], path: Path) -> None:
    arrow = _arrow()
    parquet = importlib.import_module("pyarrow.parquet")
    columns: dict[str, Callable[[], Any] | list[Any]] = {
        name: [row.get(name) for row in rows] for name in names
    }
    parquet.write_table(arrow.table(columns), path)
