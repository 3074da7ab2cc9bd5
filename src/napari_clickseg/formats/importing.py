"""What other programs hold comes in, and becomes a project; all of it, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.classes import ProjectClass, ProjectClasses, read_classes
from napari_clickseg.data.images import (
    SUFFIXES,
    is_image_file,
    read_header,
    read_single_plane,
)
from napari_clickseg.data.index import Table
from napari_clickseg.data.names import record_name, safe_name
from napari_clickseg.data.pixel_size import read_pixel_size
from napari_clickseg.data.project import Record, is_project, read_folder
from napari_clickseg.data.reading.dicom import patient_group
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.formats import (
    coco,
    geojson,
    imagej,
    labelme,
    mask_files,
    medical,
    omezarr,
    yolo,
)
from napari_clickseg.formats.annotated import FormatError, ids_of
from napari_clickseg.formats.found import FoundFile, FoundImage, drawn
from napari_clickseg.formats.mask_files import MaskChoice, images_in
from napari_clickseg.formats.problems import Problems
from napari_clickseg.formats.texts import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from napari_clickseg.data.annotations import Annotations

__all__ = ["IMPORTS", "ImportChoice", "Imported", "import_into", "recognised"]

IMPORTS = (
    "coco", "yolo", "geojson", "roi", "labelme", "omezarr", "cellpose", "stardist", "nnunet",
    "nifti", "masks",
)  # fmt: skip
_ENDINGS = {"geojson": (".geojson",), "roi": (".zip", ".roi"), "labelme": (".json",),
            "nifti": (".nii", ".nii.gz"), "omezarr": (".zarr",)}  # fmt: skip
_BETWEEN = (".ome", ".nii", "_rois", "-rois")


@dataclass(frozen=True, slots=True)
class ImportChoice:
    """What the user says of what is brought in.

    Parameters
    ----------
    form : str
        One of `IMPORTS`; "" has it found out.
    images : Path, optional
        The folder of the images; by default they are looked for beside the file.
    masks : MaskChoice
    by_folder : bool
        Images of one folder are a group, as those of a patient.
    skip : bool
        What can't be used is left out, and named.
    empty : bool
        In images without an object there is really nothing; otherwise they are not annotated yet.
    overwrite : bool
        Masks that are in the project may be replaced.
    """

    form: str = ""
    images: Path | None = None
    masks: MaskChoice = field(default_factory=MaskChoice)
    by_folder: bool = False
    skip: bool = False
    empty: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """How many images came in, how many of them without an object, and how many objects."""

    images: int
    unannotated: int
    objects: int


def recognised(source: Path, choice: ImportChoice) -> str:
    """Return the format of a file or folder, one of `IMPORTS`.

    Raises
    ------
    FormatError
        If it is none that is known, or could be several.
    """
    if choice.form:
        return choice.form
    if not source.exists():
        raise FormatError(f"There is no file {source}.")
    if choice.masks.suffix:
        return "masks"
    name = source.name.lower()
    for form, endings in _ENDINGS.items():
        if form != "labelme" and name.endswith(endings):
            return form
    if source.is_file() and name.endswith(".json"):
        return _of_json(source)
    if source.is_file() and name.endswith((".yaml", ".yml")):
        return "yolo"
    if source.is_file():
        return "masks"
    return _of_folder(source)


def _of_json(path: Path) -> str:
    if path.name == "dataset.json":
        return "nnunet"
    value = read_json(path, "file that is known here")
    if coco.is_coco(value):
        return "coco"
    if labelme.is_labelme(value):
        return "labelme"
    if isinstance(value, list) or (isinstance(value, dict) and "features" in value):
        return "geojson"
    raise FormatError(f"{path} is no COCO, labelme or GeoJSON file; say what it is with --from.")


def _of_folder(folder: Path) -> str:
    if (folder / "dataset.json").is_file():
        return "nnunet"
    if yolo.is_yolo(folder):
        return "yolo"
    names = [path.name.lower() for path in sorted(folder.iterdir())]
    for form, endings in _ENDINGS.items():
        if any(name.endswith(endings) for name in names):
            return form
    if any("_masks." in name for name in names):
        return "cellpose"
    if (folder / "masks").is_dir():
        return "stardist"
    raise FormatError(
        f"It is not clear what {folder} holds; say it with --from, or where masks lie beside "
        "images with --mask-suffix _mask."
    )


def import_into(
    source: Path,
    out: Path,
    choice: ImportChoice,
    *,
    note: Callable[[str], object] = lambda _: None,
    progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> Imported:
    """Read a file or folder of another program into a project, which is made or added to.

    Parameters
    ----------
    source : Path
        Of a format of `IMPORTS`.
    out : Path
        The folder of a project, or where one is made.
    choice : ImportChoice
        What the user says of it.
    note : callable
        Called with a line on what is left out, or worth knowing.
    progress : callable
        Called with the number of images done, and how many there are.

    Raises
    ------
    FormatError
        If something can't be used and is not to be left out; nothing is written then.
    ProjectError, ImageError
        If an image can't be read, or the project can't be written to.
    """
    problems = Problems(skip=choice.skip, note=note)
    found = _read(recognised(source, choice), source, choice, problems)
    before = read_classes(out) if is_project(out) else None
    found = _numbered_as(found, before)
    beside = source if source.is_dir() else source.parent
    looked_in = choice.images or beside
    if not looked_in.is_dir():
        raise FormatError(f"There is no folder {looked_in}.")
    ready = list(_matched(found, looked_in, choice, problems))
    ready = _free_ones(ready, out, choice, problems)
    problems.check()
    if not ready:
        raise FormatError(f"{source} holds no image that can be used.")
    classes = _with_ignore(found, before)
    # A first round finds what is wrong with the objects, so that nothing is written by half.
    if not choice.skip:
        quiet = Problems(skip=False, note=lambda _: None)
        for one in ready:
            _labels(one, classes, quiet)
        quiet.check()
    return _written(ready, out, classes, choice, problems, progress)


@dataclass(frozen=True, slots=True)
class _Ready:
    """What a file says of an image, and the image's files."""

    found: FoundImage
    files: tuple[Path, ...]
    shape: tuple[int, int]
    name: str
    group: str


def _read(form: str, source: Path, choice: ImportChoice, problems: Problems) -> FoundFile:
    if form == "yolo":
        return yolo.read_yolo(source, problems)
    if form == "nnunet":
        return mask_files.read_nnunet(source if source.is_dir() else source.parent, problems)
    if form in ("masks", "cellpose", "stardist"):
        return _masks(form, source, choice, problems)
    reader: Mapping[str, Callable[[Path, Problems], FoundFile]] = {
        "coco": coco.read_coco,
        "geojson": geojson.read_geojson,
        "roi": imagej.read_rois,
        "labelme": labelme.read_labelme,
        "omezarr": omezarr.read_omezarr,
        "nifti": medical.read_nifti,
    }
    alone = form == "coco" or source.is_file() or source.suffix == ".zarr"
    if alone:
        return reader[form](source, problems)
    paths = [one for one in sorted(source.iterdir()) if one.name.lower().endswith(_ENDINGS[form])]
    if not paths:
        raise FormatError(f"{source} holds no file of that format ({', '.join(_ENDINGS[form])}).")
    return _together([reader[form](path, problems) for path in paths])


def _masks(form: str, source: Path, choice: ImportChoice, problems: Problems) -> FoundFile:
    if source.is_file():
        return mask_files.read_masks([(source, None)], choice.masks, problems)
    masks = choice.masks
    if form == "cellpose" and not masks.suffix:
        masks = replace(masks, suffix="_masks")
    if form == "masks" and not masks.suffix and choice.images is None:
        raise FormatError("Say how masks are told from images: --mask-suffix _mask, or --images.")
    pairs = mask_files.masks_in(source, masks, problems)
    return mask_files.read_masks(pairs, masks, problems)


def _together(files: Sequence[FoundFile]) -> FoundFile:
    """Return what several files say, classes of one name being one class."""
    classes: ProjectClasses | None = None
    images: list[FoundImage] = []
    for one in files:
        known = _numbered_as(one, classes)
        images += known.images
        classes = known.classes or classes
    return FoundFile(tuple(images), classes)


def _numbered_as(found: FoundFile, before: ProjectClasses | None) -> FoundFile:
    """Return the same with classes numbered as they are known, and those classes included."""
    if before is None or found.classes is None:
        return found if before is None else replace(found, classes=before)
    if before.scheme != found.classes.scheme:
        meaning = {"classes": "classes", "instances": "objects"}
        raise FormatError(
            f"In the project ids are {meaning[before.scheme]}, in the file "
            f"{meaning[found.classes.scheme]}; bring it into another project."
        )
    by_name = {one.name: one for one in before.classes}
    taken = {one.id for one in before.classes}
    new: dict[int, int] = {}
    more: list[ProjectClass] = []
    for one in found.classes.classes:
        number = by_name[one.name].id if one.name in by_name else one.id
        if one.name not in by_name:
            number = max(taken) + 1 if number in taken else number
            more.append(one.model_copy(update={"id": number}))
            taken.add(number)
        new[one.id] = number
    if before.scheme == "classes" and any(old != now for old, now in new.items()):
        raise FormatError(
            "The project numbers its classes in another way than the file; bring it into another "
            "project."
        )
    classes = before.model_copy(update={"classes": (*before.classes, *more)})
    return FoundFile(tuple(_renumbered(one, new) for one in found.images), classes)


def _renumbered(found: FoundImage, new: Mapping[int, int]) -> FoundImage:
    if all(old == now for old, now in new.items()):
        return found
    objects = tuple(
        replace(each, class_id=None if each.class_id is None else new[each.class_id])
        for each in found.objects
    )
    of_each = {one: new.get(value, value) for one, value in found.notes.classes.items()}
    return replace(
        found, objects=objects, notes=found.notes.model_copy(update={"classes": of_each})
    )


def _with_ignore(found: FoundFile, before: ProjectClasses | None) -> ProjectClasses | None:
    """Return the classes, with an id for pixels that are unknown where the file has such."""
    crowds = any(each.ignored for one in found.images for each in one.objects)
    classes = found.classes
    if not crowds or (classes is not None and classes.ignore is not None):
        return classes
    most = max(
        max([len(one.objects), *(each.id or 0 for each in one.objects)]) for one in found.images
    )
    ignore = next(limit for limit in (255, 65535, 2**32 - 1) if most < limit)
    known = classes or before or ProjectClasses()
    return known.model_copy(update={"ignore": ignore})


def _matched(
    found: FoundFile, folder: Path, choice: ImportChoice, problems: Problems
) -> Iterator[_Ready]:
    """Find the image of each, and see that sizes agree."""
    index: _Index | None = None
    names: set[str] = set()
    for one in found.images:
        files = one.images
        if not files:
            index = index or _Index(folder)
            path = index.find(one.file, problems)
            if path is None:
                continue
            files = (path,)
        try:
            shapes = {_plane(path) for path in files}
        except ImageError as error:
            problems.add("", str(error))
            continue
        shape = next(iter(shapes))
        if len(shapes) > 1:
            problems.add(one.file, "its channels are of different sizes")
            continue
        if one.shape is not None and one.shape != shape:
            problems.add(one.file, f"the file says {one.shape}, its image is of the size {shape}")
            continue
        parent = files[0].absolute().parent.name
        name = safe_name(_stem(PurePosixPath(files[0].name).name if not one.images else one.file))
        if name.lower() in names:
            name = safe_name(f"{parent}_{name}")
        if name.lower() in names:
            problems.add(one.file, "another image has the same name; rename one of them")
            continue
        names.add(name.lower())
        group = parent if choice.by_folder else one.group or patient_group(files[0])
        yield _Ready(one, files, shape, name, group)


def _plane(path: Path) -> tuple[int, int]:
    header = read_header(path)
    lengths = dict(zip(header.axes, header.shape, strict=True))
    return lengths["Y"], lengths["X"]


class _Index:
    """The images of a folder, found by path, name or stem."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by: dict[str, list[Path]] = {}
        for path in images_in(folder):
            for key in {path.name.lower(), _stem(path.name).lower(), path.stem.lower()}:
                self._by.setdefault(key, []).append(path)

    def find(self, file: str, problems: Problems) -> Path | None:
        """Return the image that a file speaks of; None, and a problem, where there is none."""
        exact = self._folder / file
        try:
            if exact.exists() and is_image_file(exact):
                return exact
        except (OSError, ValueError):
            pass
        name = PurePosixPath(file).name
        found = self._by.get(name.lower()) or self._by.get(_stem(name).lower()) or []
        if len(found) == 1:
            return found[0]
        if not found:
            problems.add(file, f"there is no such image in {self._folder}")
        else:
            problems.add(file, f"{found[0]} and {found[1]} are both called so")
        return None


def _stem(name: str) -> str:
    """Return a file's name without its endings."""
    suffix = PurePosixPath(name).suffix.lower()
    stem = name[: -len(suffix)] if suffix in (*SUFFIXES, ".json", ".gz") and suffix else name
    for more in _BETWEEN:
        if stem.lower().endswith(more):
            stem = stem[: -len(more)]
    return stem


def _free_ones(
    ready: Sequence[_Ready], out: Path, choice: ImportChoice, problems: Problems
) -> list[_Ready]:
    """Return what does not take the place of a mask that is there."""
    table = read_folder(out) if is_project(out) else Table(())
    masked = {record_name(row.image).lower() for row in table.rows if row.mask}
    free = []
    for one in ready:
        if one.name.lower() in masked and not choice.overwrite:
            problems.add(one.name, "it has a mask in the project, which is kept; see --overwrite")
        else:
            free.append(one)
    return free


def _labels(
    one: _Ready, classes: ProjectClasses | None, problems: Problems
) -> tuple[npt.NDArray[Any], Annotations]:
    """Return the ids of an image, and what is known of them."""
    if one.found.mask is None:
        ignore = None if classes is None else classes.ignore
        return drawn(one.found, one.shape, ignore, problems)
    labels = one.found.mask()
    if labels.shape != one.shape:
        problems.add(one.found.file, f"its mask is of the size {labels.shape}, not {one.shape}")
        labels = np.zeros(one.shape, np.uint8)
    return labels, one.found.notes


def _written(
    ready: Sequence[_Ready],
    out: Path,
    classes: ProjectClasses | None,
    choice: ImportChoice,
    problems: Problems,
    progress: Callable[[int, int], object],
) -> Imported:
    bare = objects = 0
    with ProjectWriter.opened(out) as writer:
        for done, one in enumerate(ready):
            progress(done, len(ready))
            known = len(problems.found)
            labels, notes = _labels(one, classes, problems)
            if one.found.mask is not None and len(problems.found) > known:
                continue
            pixels, rgb = _pixels(one)
            there = len(ids_of(labels))
            really_empty = not there and (choice.empty or one.found.mask is not None)
            entry = writer.add(
                one.name,
                pixels,
                labels,
                group=one.group,
                split=one.found.split,
                clicks=notes.clicks,
                object_classes=notes.classes,
                objects=notes.objects,
                really_empty=really_empty,
                rgb=rgb,
                classes=classes,
                pixel_size=one.found.pixel_size or read_pixel_size(one.files[0]),
            )
            objects += there
            bare += not isinstance(entry, Record)
        progress(len(ready), len(ready))
    if bare:
        problems.note(
            f"{bare:,} images have no object, and count as not annotated; with --empty there is "
            "really nothing in them."
        )
    return Imported(len(ready), bare, objects)


def _pixels(one: _Ready) -> tuple[npt.NDArray[Any], bool]:
    """Return the pixels of an image, and whether they are colours."""
    if len(one.files) == 1:
        plane = read_single_plane(one.files[0])
        return plane.read_all(), plane.rgb
    channels = [read_single_plane(path).read_all() for path in one.files]
    return np.stack(channels, axis=-1), False
