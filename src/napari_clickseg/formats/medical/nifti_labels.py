"""Labels as NIfTI, with where the image lies in the patient; nibabel is optional."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.images import open_image
from napari_clickseg.data.masks import mask_of
from napari_clickseg.data.names import image_stem
from napari_clickseg.data.pixel_size import read_pixel_size
from napari_clickseg.formats.annotated import FormatError
from napari_clickseg.formats.external_objects import ExternalFile, ExternalImage
from napari_clickseg.formats.medical.packages import package

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.formats.annotated import AnnotatedImage
    from napari_clickseg.formats.problems import Problems


def write_nifti(image: AnnotatedImage, path: Path, note: Callable[[str], object]) -> None:
    """Write the ids of a plane or of a stack of planes as NIfTI; axes are X, Y, Z there.

    Where the image is NIfTI itself, its affine is kept; else voxels lie along the axes.
    """
    nibabel = package("nibabel")
    if image.labels.ndim > 3:
        raise FormatError(f"{image.name} has {image.labels.ndim} axes; NIfTI labels have three.")
    high = int(image.labels.max(initial=0))
    kind = np.uint8 if high < 256 else np.uint16 if high < 1 << 16 else np.uint32
    values = image.labels.astype(kind).T
    values = values[..., None] if values.ndim == 2 else values
    affine = _affine(nibabel, image)
    saved = nibabel.Nifti1Image(values, affine)
    saved.header.set_xyzt_units("mm")
    saved.header["descrip"] = b"ids of objects, napari-clickseg"
    packed = saved.to_bytes()
    path.write_bytes(gzip.compress(packed, 6) if path.suffix == ".gz" else packed)
    if image.classes is not None or image.annotations:
        note(f"{image.name}: NIfTI keeps ids and sizes; classes and clicks are not kept.")


def _affine(nibabel: Any, image: AnnotatedImage) -> npt.NDArray[np.float64]:
    if image.image is not None and image.image.name.lower().endswith((".nii", ".nii.gz")):
        return np.asarray(nibabel.load(image.image).affine, np.float64)
    if image.pixel_size is None:
        return np.eye(4)
    size = image.pixel_size.within("mm")
    return np.diag([size.x, size.y, size.z or 1.0, 1.0])


def read_nifti(path: Path, problems: Problems) -> ExternalFile:
    """Read the ids of a NIfTI file: of a volume each plane, as a project has it.

    Raises
    ------
    FormatError, ImageError
        If it can't be read, or holds no ids.
    """
    stored = open_image(path, ids=True)
    sizes = tuple(n for _, n in stored.stack_axes)
    stem, size = image_stem(path.name), read_pixel_size(path)

    def reader(index: tuple[int, ...]) -> Callable[[], npt.NDArray[Any]]:
        return lambda: mask_of(stored, path, index).labels

    images = (
        ExternalImage(stem, mask=reader(index), pixel_size=size, plane=index, stack=sizes)
        for index in np.ndindex(*sizes)
    )
    return ExternalFile(tuple(images))
