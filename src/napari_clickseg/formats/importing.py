"""What other programs hold comes in, and becomes a project; all of it, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.classes import ProjectClass, ProjectClasses, read_classes
from napari_clickseg.data.images import StoredImage, open_image, read_header
from napari_clickseg.data.index import Table
from napari_clickseg.data.names import record_name, safe_name
from napari_clickseg.data.pixel_size import read_pixel_size
from napari_clickseg.data.project import Record, is_project, read_folder
from napari_clickseg.data.reading.dicom import patient_group
from napari_clickseg.data.reading.kinds import DICOM_SUFFIXES
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.formats import (
    click_list,
    coco,
    geojson,
    imagej,
    labelme,
    mask_files,
    omezarr,
    yolo,
)
from napari_clickseg.formats.annotated import FormatError, ids_of
from napari_clickseg.formats.external_objects import ExternalFile, ExternalImage, drawn
from napari_clickseg.formats.image_lookup import ImageLookup, stem_of
from napari_clickseg.formats.mask_files import MaskChoice
from napari_clickseg.formats.medical import dicom_segmentation, nifti_labels
from napari_clickseg.formats.problems import Problems
from napari_clickseg.formats.texts import read_json
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.data.annotations import Annotations

IMPORTS = (
    "coco", "yolo", "geojson", "roi", "labelme", "omezarr", "cellpose", "stardist", "nnunet",
    "nifti", "dicomseg", "clicks", "masks",
)  # fmt: skip
_ENDINGS = {
    "geojson": (".geojson",), "roi": (".zip", ".roi"), "labelme": (".json",),
    "nifti": (".nii", ".nii.gz"), "dicomseg": DICOM_SUFFIXES, "omezarr": (".zarr",),
}  # fmt: skip
_ROOM = 1 << 28  # bytes of label maps that are kept from looking for what is wrong


@dataclass(frozen=True, slots=True)
class ImportChoice:
    """What the user says of what is brought in.

    Parameters
    ----------
    form : str
        One of `IMPORTS`; "" has it found out.
    images : Path, optional
        The folder of the images; by default they are looked for beside the file.
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
        if form not in ("labelme", "dicomseg") and name.endswith(endings):
            return form
    if source.is_file() and name.endswith(".csv"):
        return click_list.checked_table(source)
    if source.is_file() and dicom_segmentation.is_segmentation(source):
        return "dicomseg"
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
        if form != "dicomseg" and any(name.endswith(endings) for name in names):
            return form
    if any("_masks." in name for name in names):
        return "cellpose"
    if _of_form("dicomseg", folder):
        return "dicomseg"
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
    form = recognised(source, choice)
    if form == "clicks":
        return _clicks(source, out, choice, problems)
    file = _read(form, source, choice, problems)
    before = read_classes(out) if is_project(out) else None
    file = _numbered_as(file, before)
    beside = source if source.is_dir() else source.parent
    looked_in = choice.images or beside
    if not looked_in.is_dir():
        raise FormatError(f"There is no folder {looked_in}.")
    apart = _own_files(form, source)
    ready = list(_matched(file, looked_in, apart, choice, problems))
    ready = _free_ones(ready, out, choice, problems)
    problems.check()
    if not ready:
        raise FormatError(f"{source} holds no image that can be used.")
    classes = _with_ignore(file, before)
    # A first round finds what is wrong with the objects, so that nothing is written by half.
    drawn_before = {} if choice.skip else _tried(ready, classes)
    return _written(ready, out, classes, choice, problems, progress, drawn_before)


def _clicks(source: Path, out: Path, choice: ImportChoice, problems: Problems) -> Imported:
    """Give the clicks of a table to the images of a project, whose masks stay as they are."""
    told = click_list.clicks_in(source, out, problems, overwrite=choice.overwrite)
    problems.check()
    if not told:
        raise FormatError(f"{source} holds no click that can be used.")
    objects = click_list.write_into(out, told)
    return Imported(len(told), 0, objects)


def _own_files(form: str, source: Path) -> frozenset[Path]:
    """Return the annotations among files that are named as images are."""
    paths = [source] if source.is_file() else _of_form(form, source)
    return frozenset(path.absolute() for path in paths)


def _of_form(form: str, folder: Path) -> list[Path]:
    if form not in ("nifti", "dicomseg"):
        return []
    named = (one for one in sorted(folder.iterdir()) if one.name.lower().endswith(_ENDINGS[form]))
    return [one for one in named if form != "dicomseg" or dicom_segmentation.is_segmentation(one)]


@dataclass(frozen=True, slots=True)
class _Ready:
    """What a file says of an image, and the image's files."""

    image: ExternalImage
    files: tuple[Path, ...]
    shape: tuple[int, int]
    name: str
    group: str


def read_annotations(source: Path, choice: ImportChoice, problems: Problems) -> ExternalFile:
    """Read what a file or folder of another program says, without looking for its images.

    Parameters
    ----------
    source, choice
        As of `import_into`.
    problems : Problems
        Is told of what can't be used.

    Raises
    ------
    FormatError
        If it is none that is known.
    """
    return _read(recognised(source, choice), source, choice, problems)


def _read(form: str, source: Path, choice: ImportChoice, problems: Problems) -> ExternalFile:
    if form == "yolo":
        return yolo.read_yolo(source, problems)
    if form == "nnunet":
        return mask_files.read_nnunet(source if source.is_dir() else source.parent, problems)
    if form in ("masks", "cellpose", "stardist"):
        return _masks(form, source, choice, problems)
    reader: Mapping[str, Callable[[Path, Problems], ExternalFile]] = {
        "coco": coco.read_coco,
        "geojson": geojson.read_geojson,
        "roi": imagej.read_rois,
        "labelme": labelme.read_labelme,
        "omezarr": omezarr.read_omezarr,
        "nifti": nifti_labels.read_nifti,
        "dicomseg": dicom_segmentation.read_dicomseg,
    }
    alone = form == "coco" or source.is_file() or source.suffix == ".zarr"
    if alone:
        return reader[form](source, problems)
    paths = _of_form(form, source) or [
        one for one in sorted(source.iterdir()) if one.name.lower().endswith(_ENDINGS[form])
    ]
    if not paths:
        raise FormatError(f"{source} holds no file of that format ({', '.join(_ENDINGS[form])}).")
    return _together([reader[form](path, problems) for path in paths])


def _masks(form: str, source: Path, choice: ImportChoice, problems: Problems) -> ExternalFile:
    if source.is_file():
        return mask_files.read_masks([(source, None)], choice.masks, problems)
    masks = choice.masks
    if form == "cellpose" and not masks.suffix:
        masks = replace(masks, suffix="_masks")
    if form == "masks" and not masks.suffix and choice.images is None:
        raise FormatError("Say how masks are told from images: --mask-suffix _mask, or --images.")
    pairs = mask_files.masks_in(source, masks, problems)
    return mask_files.read_masks(pairs, masks, problems)


def _together(files: Sequence[ExternalFile]) -> ExternalFile:
    """Return what several files say, classes of one name being one class."""
    classes: ProjectClasses | None = None
    images: list[ExternalImage] = []
    for one in files:
        known = _numbered_as(one, classes)
        images += known.images
        classes = known.classes or classes
    return ExternalFile(tuple(images), classes)


def _numbered_as(file: ExternalFile, before: ProjectClasses | None) -> ExternalFile:
    """Return the same with classes numbered as they are known, and those classes included."""
    if before is None or file.classes is None:
        return file if before is None else replace(file, classes=before)
    if before.scheme != file.classes.scheme:
        meaning = {"classes": "classes", "instances": "objects"}
        raise FormatError(
            f"In the project ids are {meaning[before.scheme]}, in the file "
            f"{meaning[file.classes.scheme]}; bring it into another project."
        )
    by_name = {one.name: one for one in before.classes}
    taken = {one.id for one in before.classes}
    new: dict[int, int] = {}
    more: list[ProjectClass] = []
    for one in file.classes.classes:
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
    return ExternalFile(tuple(_renumbered(one, new) for one in file.images), classes)


def _renumbered(image: ExternalImage, new: Mapping[int, int]) -> ExternalImage:
    if all(old == now for old, now in new.items()):
        return image
    objects = tuple(
        replace(each, class_id=None if each.class_id is None else new[each.class_id])
        for each in image.objects
    )
    of_each = {one: new.get(value, value) for one, value in image.notes.classes.items()}
    return replace(
        image, objects=objects, notes=image.notes.model_copy(update={"classes": of_each})
    )


def _with_ignore(file: ExternalFile, before: ProjectClasses | None) -> ProjectClasses | None:
    """Return the classes, with an id for pixels that are unknown where the file has such."""
    crowds = any(each.ignored for one in file.images for each in one.objects)
    classes = file.classes
    if not crowds or (classes is not None and classes.ignore is not None):
        return classes
    most = max(
        max([len(one.objects), *(each.id or 0 for each in one.objects)]) for one in file.images
    )
    ignore = next(limit for limit in (255, 65535, 2**32 - 1) if most < limit)
    known = classes or before or ProjectClasses()
    return known.model_copy(update={"ignore": ignore})


def _matched(
    file: ExternalFile,
    folder: Path,
    apart: Collection[Path],
    choice: ImportChoice,
    problems: Problems,
) -> Iterator[_Ready]:
    """Find the image of each, and see that sizes agree."""
    lookup: ImageLookup | None = None
    names: set[str] = set()
    taken: set[tuple[tuple[Path, ...], tuple[int, ...]]] = set()
    for one in file.images:
        files = one.images
        if not files:
            lookup = lookup or ImageLookup(folder, apart)
            path = lookup.find(one.file, one.instance, problems)
            if path is None:
                continue
            files = (path,)
        try:
            opened = [_sketched(path) for path in files]
        except ImageError as error:
            problems.add("", str(error))
            continue
        if wrong := _wrong_size(one, opened):
            problems.add(one.file, wrong)
            continue
        if (files, one.plane) in taken:
            problems.add(one.file, "what belongs to this image stands in two places; put it in one")
            continue
        taken.add((files, one.plane))
        parent = files[0].absolute().parent.name
        stem = stem_of(files[0].name if not one.images else one.file)
        name = safe_name(f"{stem}{_place(opened[0], one.plane)}")
        if name.lower() in names:
            name = safe_name(f"{parent}_{name}")
        if name.lower() in names:
            problems.add(one.file, "another image has the same name; rename one of them")
            continue
        names.add(name.lower())
        group = one.group or patient_group(files[0]) or (stem if one.plane else "")
        shape = opened[0].plane(one.plane).shape[:2]
        yield _Ready(one, files, (shape[0], shape[1]), name, parent if choice.by_folder else group)


def _sketched(path: Path) -> StoredImage:
    """Return an image without its pixels."""
    header = read_header(path)
    return StoredImage((header.sketch(),), header.axes, path.name)


def _wrong_size(one: ExternalImage, opened: Sequence[StoredImage]) -> str:
    """Return what is wrong with the sizes of an image's files; "" if nothing is."""
    first = opened[0]
    stack = tuple(n for _, n in first.stack_axes)
    if one.stack and one.stack != stack:
        return f"the file has planes {one.stack}, its image {stack or 'is a single one'}"
    if len(one.plane) != len(stack) or any(i >= n for i, n in zip(one.plane, stack, strict=True)):
        return f"its image is a stack of planes {stack}, of which the file names none"
    shapes = {each.plane(one.plane).shape[:2] for each in opened if each.axes == first.axes}
    if len(shapes) > 1 or any(each.axes != first.axes for each in opened):
        return "its channels are of different sizes"
    shape = next(iter(shapes))
    if one.shape is not None and one.shape != shape:
        return f"the file says {one.shape}, its image is of the size {shape}"
    return ""


def _place(image: StoredImage, index: Sequence[int]) -> str:
    """Return what stands behind the name of a stack for one of its planes, such as _z07."""
    return "".join(
        f"_{axis.lower()}{i:0{len(str(n - 1))}d}"
        for (axis, n), i in zip(image.stack_axes, index, strict=True)
    )


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
    if one.image.mask is None:
        ignore = None if classes is None else classes.ignore
        return drawn(one.image, one.shape, ignore, problems)
    labels = one.image.mask()
    if labels.shape != one.shape:
        problems.add(one.image.file, f"its mask is of the size {labels.shape}, not {one.shape}")
        labels = np.zeros(one.shape, np.uint8)
    return labels, one.image.notes


def _tried(
    ready: Sequence[_Ready], classes: ProjectClasses | None
) -> dict[str, tuple[npt.NDArray[Any], Annotations, list[str]]]:
    """Draw all images, and keep the first of them, as many as there is room for, with their notes.

    Raises
    ------
    FormatError
        If something can't be used.
    """
    kept: dict[str, tuple[npt.NDArray[Any], Annotations, list[str]]] = {}
    lines: list[str] = []
    room = _ROOM
    for one in ready:
        notes: list[str] = []
        quiet = Problems(skip=False, note=notes.append)
        labels, known = _labels(one, classes, quiet)
        lines += quiet.lines
        room -= labels.nbytes
        if room > 0:
            kept[one.name] = labels, known, notes
    Problems.of(lines).check()
    return kept


def _written(
    ready: Sequence[_Ready],
    out: Path,
    classes: ProjectClasses | None,
    choice: ImportChoice,
    problems: Problems,
    progress: Callable[[int, int], object],
    drawn_before: dict[str, tuple[npt.NDArray[Any], Annotations, list[str]]],
) -> Imported:
    bare = objects = 0
    opened = lru_cache(maxsize=1)(open_image)  # planes of a stack come one after another
    with ProjectWriter.opened(out) as writer:
        for done, one in enumerate(ready):
            progress(done, len(ready))
            known = len(problems.lines)
            if one.name in drawn_before:
                labels, notes, said = drawn_before.pop(one.name)
                for line in said:
                    problems.note(line)
            else:
                labels, notes = _labels(one, classes, problems)
            if one.image.mask is not None and len(problems.lines) > known:
                continue
            pixels, rgb = _pixels(one, opened)
            there = len(ids_of(labels))
            really_empty = not there and (choice.empty or one.image.mask is not None)
            entry = writer.add(
                one.name,
                pixels,
                labels,
                group=one.group,
                split=one.image.split,
                clicks=notes.clicks,
                object_classes=notes.classes,
                objects=notes.objects,
                really_empty=really_empty,
                rgb=rgb,
                classes=classes,
                pixel_size=one.image.pixel_size or read_pixel_size(one.files[0]),
            )
            objects += there
            bare += not isinstance(entry, Record)
        progress(len(ready), len(ready))
    if bare:
        what = "has no object, and counts" if bare == 1 else "have no object, and count"
        problems.note(
            f"{counted(bare, 'image')} {what} as not annotated; with --empty there is really "
            "nothing in such."
        )
    return Imported(len(ready), bare, objects)


def _pixels(one: _Ready, opened: Callable[[Path], StoredImage]) -> tuple[npt.NDArray[Any], bool]:
    """Return the pixels of an image, and whether they are colours."""
    if len(one.files) == 1:
        plane = opened(one.files[0]).plane(one.image.plane)
        return plane.read_all(), plane.rgb
    channels = [opened(path).plane(one.image.plane).read_all() for path in one.files]
    return np.stack(channels, axis=-1), False
