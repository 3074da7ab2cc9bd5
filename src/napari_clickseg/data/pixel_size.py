"""How large a pixel is: as files say it, and as projects keep it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.reading.header import beginning, readable
from napari_clickseg.data.reading.kinds import START, is_dicom, reader_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# Units of length in metres, under the names that files give them.
UNITS = {"pm": 1e-12, "Å": 1e-10, "nm": 1e-9, "µm": 1e-6, "mm": 1e-3, "cm": 1e-2, "m": 1.0}
_NAMES = {
    "picometer": "pm",
    "angstrom": "Å",
    "nanometer": "nm",
    "micrometer": "µm",
    "micron": "µm",
    "um": "µm",
    "μm": "µm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
}
_CENTIMETRE = 3  # value of the tag ResolutionUnit; 2, inches, is a printer's measure
_DESCRIBED = 1 << 24  # bytes of a description that is looked at
_MPP = re.compile(r"\bMPP\s*=\s*([0-9.eE+-]+)")  # as slide scanners write it


@dataclass(frozen=True, slots=True)
class PixelSize:
    """The size of a pixel, or of a voxel.

    Parameters
    ----------
    y, x : float
        Height and width, above 0.
    unit : str
        Of length, as in `UNITS`.
    z : float, optional
        The distance of planes.
    """

    y: float
    x: float
    unit: str = "µm"
    z: float | None = None

    def __post_init__(self) -> None:
        sizes = [self.y, self.x] if self.z is None else [self.z, self.y, self.x]
        if not all(math.isfinite(size) and size > 0 for size in sizes):
            raise ValueError(f"a pixel can't be {sizes} large")
        if self.unit not in UNITS:
            raise ValueError(f"'{self.unit}' is not a unit of length; {', '.join(UNITS)} are known")

    def __str__(self) -> str:
        """Return it as `parse` reads it: "0.5 0.25 µm", with z in front where it is known."""
        sizes = [self.y, self.x] if self.z is None else [self.z, self.y, self.x]
        return " ".join([*(f"{size:.12g}" for size in sizes), self.unit])

    @classmethod
    def parse(cls, text: str) -> PixelSize:
        """Read "0.5 0.25 µm", or with z, "2 0.5 0.25 µm".

        Raises
        ------
        ValueError
            If it is none; the message says so.
        """
        parts = text.replace(",", " ").replace("×", " ").split()
        try:
            *sizes, unit = parts
            numbers = [float(size) for size in sizes]
            if len(numbers) not in (2, 3):
                raise ValueError
            z = numbers[0] if len(numbers) == 3 else None
            return cls(numbers[-2], numbers[-1], unit_name(unit) or unit, z)
        except ValueError:
            raise ValueError(
                f"'{text[:60]}' is not a pixel size; write its height, width and unit, such as "
                "0.5 0.5 µm"
            ) from None

    def within(self, unit: str) -> PixelSize:
        """Return the same in another unit."""
        factor = UNITS[self.unit] / UNITS[unit]
        z = None if self.z is None else self.z * factor
        return PixelSize(self.y * factor, self.x * factor, unit, z)

    def as_json(self) -> dict[str, Any]:
        """Return it as sidecars keep it."""
        sizes: dict[str, Any] = {"y": self.y, "x": self.x, "unit": self.unit}
        return sizes if self.z is None else {"z": self.z, **sizes}


def unit_name(text: str) -> str | None:
    """Return the name under which a unit of length is known here; None if it is none."""
    text = text.strip().replace("\\u00B5", "µ")
    if text in UNITS:
        return text
    word = text.lower().removesuffix("s")
    word = word.replace("metre", "meter")
    return _NAMES.get(word) or _NAMES.get(text.lower())


def read_pixel_size(path: Path, scene: int | None = None) -> PixelSize | None:
    """Return what a file says of the size of its pixels, if it does.

    Read are OME-XML, ImageJ's and slide scanners' descriptions and centimetres in TIFF, the scale
    of OME-Zarr, and what CZI, ND2, LIF, OIF, DICOM and NIfTI say. Inches are not: they are how
    large a picture is printed.

    Parameters
    ----------
    path : Path
        Of an image that can be read; a broken one says nothing.
    scene : int, optional
        Which of a microscope's images, as of `images.read_header`.
    """
    try:
        if path.is_dir():
            return _of_zarr(path)
        start = beginning(path, START)
        if start[:2] in (b"II", b"MM") and not is_dicom(start):
            return _of_tiff(path)
        if (reader := reader_of(path, start)) is not None:
            with readable(path):
                spacing = reader(path, scene=scene).spacing
            return _sized(*spacing) if spacing is not None else None
    except ImageError:
        pass
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, AttributeError):
        pass  # whoever reads the image says what is wrong with it
    return None


def stated_pixel_size(saved: object) -> PixelSize | None:
    """Return a size that a sidecar says (`as_json`); None where it says none that makes sense."""
    if not isinstance(saved, dict):
        return None
    try:
        z = saved.get("z")
        unit = unit_name(str(saved.get("unit", "")))
        size = PixelSize(
            float(saved["y"]), float(saved["x"]), unit or "", None if z is None else float(z)
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return size


def _sized(z: object, y: object, x: object, unit: str) -> PixelSize | None:
    """Return a size of what a file says, as far as it makes sense."""
    name = unit_name(unit)
    if name is None:
        return None
    try:
        depth = None if z is None else float(z)  # type: ignore[arg-type]
        depth = depth if depth is not None and depth > 0 else None
        return PixelSize(float(y), float(x), name, depth)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _of_zarr(path: Path) -> PixelSize | None:
    attributes: dict[str, Any] = {}
    for name in ("zarr.json", ".zattrs"):
        if (path / name).is_file():
            attributes = json.loads((path / name).read_text(encoding="utf-8"))
            break
    attributes = attributes.get("attributes", attributes)
    image = attributes.get("ome", attributes)["multiscales"][0]
    sizes: dict[str, float] = {}
    levels = image["datasets"][0].get("coordinateTransformations", [])
    for change in (*levels, *image.get("coordinateTransformations", [])):
        if change.get("type") == "scale":
            for axis, size in zip(image["axes"], change["scale"], strict=True):
                sizes[axis["name"]] = sizes.get(axis["name"], 1.0) * float(size)
    units = {axis["name"]: axis.get("unit", "") for axis in image["axes"]}
    z = sizes.get("z") if units.get("z") == units["y"] else None
    return _sized(z, sizes["y"], sizes["x"], units["y"]) if units["y"] == units["x"] else None


def _of_tiff(path: Path) -> PixelSize | None:
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages[0].aspage()
        if file.is_ome and file.ome_metadata:
            return _of_ome(file.ome_metadata)
        tags = page.tags
        down, across = (_fraction(tags.get(name)) for name in ("YResolution", "XResolution"))
        if file.is_imagej:
            about: Mapping[str, Any] = file.imagej_metadata or {}
            unit = str(about.get("unit", ""))
            return _sized(about.get("spacing"), down, across, unit) if down and across else None
        description = page.description[:_DESCRIBED]
        if match := _MPP.search(description):
            return _sized(None, match[1], match[1], "µm")
        unit_tag = tags.get("ResolutionUnit")
        if not (down and across) or unit_tag is None or int(unit_tag.value) != _CENTIMETRE:
            return None
        return PixelSize(down, across, "cm").within("µm")


def _fraction(tag: Any) -> float | None:
    """Return how large a pixel is, of a tag that says how many there are."""
    if tag is None:
        return None
    pixels, length = (int(part) for part in tag.value)
    return length / pixels if pixels and length else None


def _of_ome(text: str) -> PixelSize | None:
    from xml.etree import ElementTree

    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None
    pixels = next((each for each in root.iter() if each.tag.endswith("}Pixels")), None)
    if pixels is None:
        return None
    said = pixels.attrib
    units: Sequence[str] = [said.get(f"PhysicalSize{axis}Unit", "µm") for axis in "YXZ"]
    if units[0] != units[1]:
        return None
    z = said.get("PhysicalSizeZ") if units[2] == units[0] else None
    return _sized(z, said.get("PhysicalSizeY"), said.get("PhysicalSizeX"), units[0])
