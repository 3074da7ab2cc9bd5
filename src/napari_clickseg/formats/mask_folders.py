"""Folders of images with masks, as Cellpose, StarDist and nnU-Net want them to learn from."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.encode import storable_mask, write_grey
from napari_clickseg.data.images import read_plane
from napari_clickseg.formats.annotated import FormatError, embedded, ids_of, nameless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.formats.annotated import AnnotatedImage

_RESERVED = ("background", "ignore")  # names that mean something to nnU-Net


def write_cellpose(
    images: Iterable[AnnotatedImage], folder: Path, note: Callable[[str], object]
) -> None:
    """Write NAME.tif (or another kind) and NAME_masks.tif for each plane."""
    for image in (plane for each in images for plane in each.planes()):
        _copy(image, folder / image.name, note)
        _write_mask(folder / f"{image.name}_masks.tif", image, _without_ignored(image, note))


def write_stardist(
    images: Iterable[AnnotatedImage], folder: Path, note: Callable[[str], object]
) -> None:
    """Write images/NAME.tif (or another kind) and masks/NAME.tif for each plane.

    Parameters
    ----------
    images, folder, note
        As for `write_cellpose`.
    """
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for image in (plane for each in images for plane in each.planes()):
        _copy(image, folder / "images" / image.name, note)
        _write_mask(folder / f"masks/{image.name}.tif", image, _without_ignored(image, note))


def _copy(image: AnnotatedImage, place: Path, note: Callable[[str], object]) -> None:
    """Copy the file of an image; `place` has no suffix yet."""
    if image.image is None or not image.image.is_file():
        note(f"{image.name}: there is no file of its image to be copied.")
        return
    shutil.copyfile(image.image, place.with_name(f"{place.name}{image.image.suffix.lower()}"))


def _without_ignored(image: AnnotatedImage, note: Callable[[str], object]) -> npt.NDArray[Any]:
    ignore = image.ignore
    if ignore is None or not (image.labels == ignore).any():
        return image.labels
    note(f"{image.name}: pixels marked as unknown ({ignore}) are background.")
    return np.where(image.labels == ignore, 0, image.labels)


def _write_mask(path: Path, image: AnnotatedImage, labels: npt.NDArray[Any]) -> None:
    write_grey(
        path, storable_mask(image.name, labels, image.plane), image.pixel_size, **embedded(image)
    )


def write_nnunet(
    images: Iterable[AnnotatedImage], folder: Path, note: Callable[[str], object]
) -> None:
    """Write imagesTr/, labelsTr/ and dataset.json of nnU-Net's version 2, a file a channel.

    Its labels are classes: 1, 2, … in the order of the project's; objects without one are a class
    of their own. Test images go to imagesTs/ and labelsTs/.

    Parameters
    ----------
    images, folder, note
        As for `write_cellpose`.

    Raises
    ------
    FormatError
        If an image's file is not known, or images have different numbers of channels.
    """
    names: list[str | None] = []  # None stands for objects without a class
    channels: list[str] | None = None
    count, unknown = 0, []
    for image in images:
        if image.image is None or image.labels.ndim != 2:
            raise FormatError(
                f"{image.name}: nnU-Net learns from images; give a project, or --image with a mask."
            )
        own = _write_channels(image, folder / ("imagesTs" if image.split == "test" else "imagesTr"))
        if channels is not None and own != channels:
            raise FormatError(
                f"{image.name} has the channels {', '.join(own)}, others {', '.join(channels)}; "
                "nnU-Net wants the same of all images."
            )
        channels = own
        values, ignored = _classes(image, names)
        labels = folder / ("labelsTs" if image.split == "test" else "labelsTr")
        labels.mkdir(exist_ok=True)
        count += image.split != "test"
        if ignored:
            unknown.append((labels / f"{image.name}.tif", values))
        write_grey(labels / f"{image.name}.tif", values, image.pixel_size)
    labelled: dict[str, Any] = {"background": 0}
    labelled |= {name: number for number, name in enumerate(_called(names, note), 1)}
    if unknown:  # it has to be the largest, which is known at the end
        labelled["ignore"] = len(names) + 1
        for path, values in unknown:
            write_grey(path, np.where(values == 255, len(names) + 1, values).astype(np.uint8))
    note("nnU-Net learns classes: which pixels are of one object is not kept.")
    about = {
        "channel_names": {str(i): name for i, name in enumerate(channels or [])},
        "labels": labelled,
        "numTraining": count,
        "file_ending": ".tif",
    }
    (folder / "dataset.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _write_channels(image: AnnotatedImage, folder: Path) -> list[str]:
    """Write a file for each channel, and return their names."""
    assert image.image is not None
    plane = read_plane(image.image)
    pixels = plane.read_all()
    folder.mkdir(exist_ok=True)
    layers = [pixels] if pixels.ndim == 2 else list(np.moveaxis(pixels, -1, 0))
    for at, layer in enumerate(layers):
        path = folder / f"{image.name}_{at:04d}.tif"
        write_grey(path, np.ascontiguousarray(layer), image.pixel_size)
    if plane.rgb:
        return ["R", "G", "B"]
    return [f"channel {at}" for at in range(len(layers))]


def _called(names: list[str | None], note: Callable[[str], object]) -> list[str]:
    """Return the names that dataset.json gives the classes."""
    given = []
    for name in names:
        if name in _RESERVED:
            note(f"The class '{name}' is called 'class {name}', as nnU-Net calls other things so.")
            name = f"class {name}"
        given.append(name or nameless(names))
    return given


def _classes(image: AnnotatedImage, names: list[str | None]) -> tuple[npt.NDArray[np.uint8], bool]:
    """Return the number of each pixel's class, 255 for what is unknown, and whether any is."""
    for one in image.classes.classes if image.classes is not None else ():
        if one.name not in names:
            names.append(one.name)
    rows, ids = image.rows(), ids_of(image.labels)
    new = np.zeros(len(ids) + 1, np.uint8)
    for at, identifier in enumerate(ids.tolist(), 1):
        if identifier == image.ignore:
            new[at] = 255
            continue
        row = rows.get(identifier)
        name = row.class_name if row is not None and row.class_name else None
        if name not in names:
            names.append(name)
        new[at] = names.index(name) + 1
    if len(names) > 250:
        raise FormatError(f"{image.name}: more than 250 classes do not fit into nnU-Net's labels.")
    at_each = np.searchsorted(ids, image.labels) + 1
    at_each[image.labels == 0] = 0
    values = new[at_each]
    return values, bool((values == 255).any())
