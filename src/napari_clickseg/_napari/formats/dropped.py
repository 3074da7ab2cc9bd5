"""Other programs' annotations, dropped into the viewer: labels with their classes.

A file that is none of them is left to others. Objects lie on the image of the name that the file
gives, if it is open, or else on the only one that there is. A folder that another program learns
from, or wrote, is many images: it is filled in where it can be imported, in the Files widget.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari import current_viewer
from napari.layers import Image
from napari.utils.notifications import show_info

from napari_clickseg._napari.viewer.colours import colours_of, label_colormap
from napari_clickseg._napari.viewer.features import features_of, with_notes
from napari_clickseg._napari.viewer.layers import full_resolution, unwrapped
from napari_clickseg._napari.viewer.metadata import ObjectClasses, with_classes
from napari_clickseg._napari.viewer.pixels import placed
from napari_clickseg._napari.viewer.private import open_widget
from napari_clickseg.core.source import ImageError
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.index import INDEX
from napari_clickseg.formats.annotated import FormatError
from napari_clickseg.formats.external_objects import drawn
from napari_clickseg.formats.image_lookup import stem_of
from napari_clickseg.formats.importing import ImportChoice, read_annotations, recognised
from napari_clickseg.formats.mask_files import holds_objects
from napari_clickseg.formats.problems import Problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.types import LayerDataTuple

    from napari_clickseg.data.classes import ProjectClasses
    from napari_clickseg.formats.external_objects import ExternalImage

_FORMS = ("coco", "geojson", "roi", "labelme")
_FOLDERS = ("yolo", "nnunet", "cellpose", "geojson", "labelme")
_LARGEST = 1 << 28  # bytes that are read while the viewer waits
_MOST = 12  # images, beyond which a viewer becomes a heap of layers
_FAR = 1 << 20  # pixels: how large an image may be of which nothing is known
_NOTES = 3


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerDataTuple]] | None:
    """Return what opens annotations of another program; None of other files."""
    if not isinstance(path, str):
        return None
    source = Path(path)
    try:
        if source.is_dir():
            return _to_import if _is_folder(source) else None
        if source.stat().st_size > _LARGEST:
            return None
        known = holds_objects(source) or recognised(source, ImportChoice()) in _FORMS
    except (FormatError, OSError):
        return None
    return _open if known else None


def _is_folder(folder: Path) -> bool:
    """Whether a folder is one that another program learns from, or wrote; no project of ours."""
    if (folder / INDEX).is_file() or folder.suffix.lower() == ".zarr":
        return False
    form = recognised(folder, ImportChoice())
    if form == "labelme":  # which any JSON could be
        first = min(one for one in folder.iterdir() if one.name.lower().endswith(".json"))
        return first.stat().st_size < _LARGEST and recognised(first, ImportChoice()) == form
    return form in _FOLDERS


def _to_import(path: str) -> list[LayerDataTuple]:
    """Fill a folder in where it can be imported; there is no layer to be added."""
    viewer = current_viewer()
    if getattr(viewer, "window", None) is None:
        raise FormatError(f"{path} becomes a project: clickseg import '{path}' --out PROJECT.")
    widget = open_widget(unwrapped(viewer), "Files")
    widget.turn_to("Import")
    state, images = widget.state, Path(path) / "images"
    state.source, state.images = path, str(images) if images.is_dir() else ""
    state.message = "Choose the folder of the project that it becomes, and press Import."
    return [(None,)]  # npe2's word for no layer


@dataclass(frozen=True, slots=True)
class _Under:
    """The open image that annotations lie on: height, width, and where it lies."""

    name: str
    shape: tuple[int, int]
    place: dict[str, Any]


def _open(path: str) -> list[LayerDataTuple]:
    source, notes = Path(path), list[str]()
    problems = Problems(skip=True, note=notes.append)
    file = read_annotations(source, ImportChoice(skip=True), problems)
    images = file.images
    if len(images) > _MOST:
        notes.insert(
            0,
            f"{source.name} tells of {len(images):,} images; the first {_MOST} are shown. Import "
            "it in the Files widget to have all of them in a project.",
        )
    layers = []
    for one in images[:_MOST]:
        try:
            layers.append(_labels(one, file.classes, problems, alone=len(images) == 1))
        except (FormatError, ImageError, ProjectError) as error:
            notes.append(str(error))
    if not layers:
        raise FormatError(" ".join([f"{source.name} holds nothing that can be shown.", *notes[:1]]))
    if notes:
        more = len(notes) - _NOTES
        show_info(" ".join(notes[:_NOTES]) + (f" And {more:,} more." if more > 0 else ""))
    return layers


def _labels(
    image: ExternalImage, classes: ProjectClasses | None, problems: Problems, *, alone: bool
) -> LayerDataTuple:
    if image.mask is None and image.shape is None and not image.objects:
        raise FormatError("It has no objects.")
    under = _under(image, alone=alone)
    if image.mask is not None:
        labels, known = image.mask(), image.notes
    else:
        shape = image.shape or (under.shape if under is not None else _extent(image))
        labels, known = drawn(image, shape, classes.ignore if classes else None, problems)
    name = under.name if under is not None else stem_of(Path(image.file).name)
    metadata = with_classes(classes, ObjectClasses(known.classes)) | with_notes(known.objects)
    meta: dict[str, Any] = {"name": f"{name} annotation", "metadata": metadata}
    if under is not None and labels.shape == under.shape:
        meta |= under.place
    else:
        meta |= placed(image.pixel_size, "YX")
    if known.classes or known.objects:
        meta["features"] = features_of(classes, known.classes, known.objects)
    if colours := colours_of(classes):
        meta["colormap"] = label_colormap(colours)
    small = labels.astype(np.uint16) if labels.max(initial=0) < 1 << 16 else labels
    return small, meta, "labels"


def _under(image: ExternalImage, *, alone: bool) -> _Under | None:
    """Return the open image of the name that the file gives, or the only one there is."""
    viewer = current_viewer()
    layers = [unwrapped(layer) for layer in viewer.layers] if viewer is not None else []
    planes = [layer for layer in layers if isinstance(layer, Image) and layer.ndim == 2]
    stem = stem_of(Path(image.file).name).lower()
    named = [layer for layer in planes if stem_of(layer.name).lower() == stem]
    chosen = named or (planes if alone else [])
    if len(chosen) != 1:
        return None
    (layer,) = chosen
    data = full_resolution(layer)
    height, width = data.shape[:2]
    if image.shape is not None and image.shape != (height, width):
        return None
    place = {name: getattr(layer, name) for name in ("scale", "translate", "rotate", "shear")}
    place |= {"affine": layer.affine.affine_matrix, "units": layer.units}
    return _Under(layer.name, (int(height), int(width)), place)


def _extent(image: ExternalImage) -> tuple[int, int]:
    """Return how far the objects of an image reach, where nothing says how large it is."""
    height = width = 1
    for each in image.objects:
        try:
            part = each.part((_FAR, _FAR))
        except ValueError:
            continue  # which is said when it is drawn
        height = max(height, part.top + part.mask.shape[0])
        width = max(width, part.left + part.mask.shape[1])
    return height, width
