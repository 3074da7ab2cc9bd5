"""Masks in files, and in folders of images with masks as other programs lay them out."""

from __future__ import annotations

import codecs
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.images import is_image_file
from napari_clickseg.data.masks import read_mask
from napari_clickseg.data.reading.header import beginning, one_line
from napari_clickseg.formats.annotated import FormatError, annotated_mask, read_sidecar
from napari_clickseg.formats.colour_masks import (
    colours_of,
    confirmed,
    holds_colours,
    ids_by_colour,
)
from napari_clickseg.formats.external_objects import ExternalFile, ExternalImage
from napari_clickseg.formats.texts import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.formats.problems import Problems

_FULL = 255  # what binary masks have where the object is
# What arrays are made with when they are unpickled, under the names that files give.
_MAKERS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    ("numpy.core.multiarray", "scalar"): np.float64(0).__reduce__()[0],
    ("_codecs", "encode"): codecs.encode,  # of bytes, in old files
}


@dataclass(frozen=True, slots=True)
class MaskChoice:
    """Which files of a folder are masks, and what colours mean.

    Parameters
    ----------
    suffix : str
        A mask's name is its image's with this at the end of the stem: "_mask", "_masks", "_seg".
    palette : str, optional
        As for `colour_masks.confirmed`.
    """

    suffix: str = ""
    palette: str | None = None


def images_in(folder: Path) -> list[Path]:
    """Return the files in a folder, at any depth, that are named as images are."""
    files: list[Path] = []
    waiting = [folder]
    while waiting:
        for path in sorted(waiting.pop().iterdir()):
            if path.name.startswith("."):
                continue
            if is_image_file(path):
                files.append(path)
            elif path.is_dir():
                waiting.append(path)
    return sorted(files)


def masks_in(
    folder: Path, choice: MaskChoice, problems: Problems
) -> list[tuple[Path, Path | None]]:
    """Return the masks of a folder, each with its image where that lies beside it.

    Raises
    ------
    FormatError
        If there are none.
    """
    every = images_in(folder)
    if not choice.suffix:
        beside = folder / "masks"
        return [(path, None) for path in (images_in(beside) if beside.is_dir() else every)]
    masks = [path for path in every if path.stem.endswith(choice.suffix)]
    images: dict[tuple[Path, str], list[Path]] = {}
    for path in every:
        if not path.stem.endswith(choice.suffix):
            images.setdefault((path.parent, path.stem), []).append(path)
    pairs: list[tuple[Path, Path | None]] = []
    for mask in masks:
        stem = mask.stem.removesuffix(choice.suffix)
        own = images.pop((mask.parent, stem), [])
        if len(own) > 1:
            problems.add(str(mask), f"{own[0].name} and {own[1].name} both fit it")
            continue
        pairs.append((mask, own[0] if own else None))
    if not masks:
        raise FormatError(f"{folder} holds no mask called …{choice.suffix}; see --mask-suffix.")
    for own in images.values():
        problems.note(f"{own[0]}: it has no mask, and is left out.")
    return pairs


def read_masks(
    pairs: Iterable[tuple[Path, Path | None]], choice: MaskChoice, problems: Problems
) -> ExternalFile:
    """Read masks: of ids, of 0 and 255, or of colours that a palette names.

    Parameters
    ----------
    pairs : iterable of (Path, Path or None)
        Masks, and their images where they are known.
    problems : Problems
        Is told of those that can't be read.

    Raises
    ------
    FormatError
        If colours have to be named first.
    """
    plain: list[tuple[Path, Path | None]] = []
    coloured: list[tuple[Path, Path | None]] = []
    for mask, image in pairs:
        try:
            colours = not holds_objects(mask) and holds_colours(mask)
            (coloured if colours else plain).append((mask, image))
        except (ImageError, FormatError) as error:
            problems.add("", str(error))
    if coloured and plain:
        raise FormatError(
            f"{coloured[0][0]} holds colours, {plain[0][0]} ids; bring them in one after the other."
        )
    if coloured:
        return _coloured(coloured, choice)
    classes: ProjectClasses | None = None
    images = []
    for mask, image in plain:
        try:
            one, own = _external_image(mask, image, choice, problems)
        except (ImageError, FormatError) as error:
            problems.add("", str(error))
            continue
        images.append(one)
        classes = classes or own
    return ExternalFile(tuple(images), classes)


def holds_objects(path: Path) -> bool:
    """Whether a .npy file holds Python objects, as Cellpose's results (`_seg.npy`) do."""
    return path.suffix.lower() == ".npy" and b"'|O'" in beginning(path, 256)


class _ArraysOnly(pickle.Unpickler):
    """Makes arrays and plain values; what would run anything else is refused unread."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return one of the few functions that make arrays."""
        maker = _MAKERS.get((module_name.replace("._core.", ".core."), global_name))
        if maker is None:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")
        return maker


def read_cellpose_results(path: Path) -> npt.NDArray[Any]:
    """Read the ids of Cellpose's results (`_seg.npy`); nothing that is in the file is run.

    Raises
    ------
    FormatError
        If it holds no masks of a plane, or anything but arrays and plain values.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0, np.lib.format.read_array_header_2_0
            read[version != (1, 0)](file)
            kept = _ArraysOnly(file).load().item()
        labels = np.squeeze(np.asarray(kept["masks"]))
    except Exception as error:
        raise FormatError(
            f"{path} holds no results of Cellpose that can be read safely ({one_line(error)}); in "
            "Cellpose, save the masks as PNG or TIFF (File ▸ Save masks)."
        ) from error
    if labels.ndim != 2 or labels.dtype.kind not in "bui" or labels.min(initial=0) < 0:
        raise FormatError(f"{path} holds masks {labels.shape} {labels.dtype}, not ids of a plane.")
    return labels.astype(np.uint32)


def _coloured(pairs: Sequence[tuple[Path, Path | None]], choice: MaskChoice) -> ExternalFile:
    ids, classes = confirmed(colours_of(mask for mask, _ in pairs), choice.palette)

    def reader(mask: Path) -> Callable[[], npt.NDArray[Any]]:
        return lambda: ids_by_colour(mask, ids)

    images = tuple(
        ExternalImage(_stem(mask, choice), mask=reader(mask), images=(image,) if image else ())
        for mask, image in pairs
    )
    return ExternalFile(images, classes)


def _external_image(
    mask: Path, image: Path | None, choice: MaskChoice, problems: Problems
) -> tuple[ExternalImage, ProjectClasses | None]:
    stem, images = _stem(mask, choice), (image,) if image is not None else ()
    if read_sidecar(mask) is not None:
        known = annotated_mask(mask)
        return ExternalImage(
            stem, mask=_reader(mask, problems), notes=known.annotations,
            pixel_size=known.pixel_size, images=images,
        ), known.classes  # fmt: skip
    return ExternalImage(stem, mask=_reader(mask, problems), images=images), None


def _stem(mask: Path, choice: MaskChoice) -> str:
    added = choice.suffix or ("_seg" if holds_objects(mask) else "")
    return mask.stem.removesuffix(".ome").removesuffix(added)


def _reader(mask: Path, problems: Problems) -> Callable[[], npt.NDArray[Any]]:
    def read() -> npt.NDArray[Any]:
        if holds_objects(mask):
            return read_cellpose_results(mask)
        stored = read_mask(mask)
        for notice in stored.notices:
            problems.note(f"{mask.name}: {notice}")
        labels = stored.labels
        if labels.dtype == np.uint8 and labels.max(initial=0) == _FULL:
            count = np.bincount(labels.ravel(), minlength=256)
            if count[0] + count[_FULL] == labels.size:
                return np.asarray(labels == _FULL, np.uint8)
        return labels

    return read


def read_nnunet(folder: Path, problems: Problems) -> ExternalFile:
    """Read the labels of nnU-Net's version 2: dataset.json, imagesTr/, labelsTr/.

    Raises
    ------
    FormatError
        If dataset.json can't be read, or its labels are regions.
    """
    about = read_json(folder / "dataset.json", "dataset.json of nnU-Net")
    try:
        ending = str(about["file_ending"])
        labels = {str(name): number for name, number in about["labels"].items()}
        channels = len(about["channel_names"])
    except (TypeError, LookupError, AttributeError) as error:
        raise FormatError(
            f"{folder / 'dataset.json'} lacks channel_names, labels or file_ending; mend it."
        ) from error
    regions = [name for name, number in labels.items() if not isinstance(number, int)]
    if regions:
        raise FormatError(
            f"{folder / 'dataset.json'}: {regions[0]} is a region made of several labels; write "
            "one label for each class."
        )
    ignore = labels.pop("ignore", None)
    classes = tuple(
        ProjectClass(id=number, name=name) for name, number in labels.items() if number > 0
    )
    external = []
    for part, split in (("Tr", ""), ("Ts", "test")):
        for mask in sorted((folder / f"labels{part}").glob(f"*{ending}")):
            name = mask.name.removesuffix(ending)
            images = [
                folder / f"images{part}" / f"{name}_{at:04d}{ending}" for at in range(channels)
            ]
            there = tuple(path for path in images if path.is_file())
            if not there:
                problems.add(mask.name, f"there is no image {images[0].name}")
                continue
            external.append(
                ExternalImage(name, mask=_plain_reader(mask), images=there, split=split)
            )
    known = ProjectClasses(scheme="classes", classes=classes, ignore=ignore)
    return ExternalFile(tuple(external), known)


def _plain_reader(mask: Path) -> Callable[[], npt.NDArray[Any]]:
    return lambda: read_mask(mask).labels
