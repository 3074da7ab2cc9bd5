"""What is annotated goes out, in one of many formats; all of it, or nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_clickseg.data.index import read_table
from napari_clickseg.data.project import is_project, read_project
from napari_clickseg.formats import (
    click_list,
    coco,
    geojson,
    imagej,
    labelme,
    mask_folders,
    omezarr,
    yolo,
)
from napari_clickseg.formats.annotated import FormatError, annotated_mask, annotated_record
from napari_clickseg.formats.medical import dicom_segmentation, nifti_labels
from napari_clickseg.util.files import PARTIAL, naming, this_process, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_clickseg.data.pixel_size import PixelSize
    from napari_clickseg.formats.annotated import AnnotatedImage


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format that is written.

    Parameters
    ----------
    kind : {"file", "each", "folder"}
        One file for all images; a file, or folder, for each; a folder for all.
    suffix : str
        Of a file.
    write : callable
        Takes an image, or an iterator of images each of which is looked at once; the path, where
        an empty folder is there if all go into one; and what is called with a line on what could
        not be kept.
    stacks : bool
        Whether a stack goes into one file; otherwise each plane is an image of its own.
    """

    title: str
    kind: Literal["file", "each", "folder"]
    suffix: str
    write: Callable[..., None]
    stacks: bool = False


FORMATS = {
    "coco": ExportFormat("COCO instances", "file", ".json", coco.write_coco),
    "yolo": ExportFormat("YOLO segmentation", "folder", "", yolo.write_yolo),
    "geojson": ExportFormat("GeoJSON for QuPath", "each", ".geojson", geojson.write_geojson),
    "roi": ExportFormat("ImageJ and Fiji regions", "each", ".zip", imagej.write_rois),
    "labelme": ExportFormat("labelme", "each", ".json", labelme.write_labelme),
    "omezarr": ExportFormat("OME-Zarr labels", "each", ".zarr", omezarr.write_omezarr, stacks=True),
    "cellpose": ExportFormat("Cellpose", "folder", "", mask_folders.write_cellpose),
    "stardist": ExportFormat("StarDist", "folder", "", mask_folders.write_stardist),
    "nnunet": ExportFormat("nnU-Net v2", "folder", "", mask_folders.write_nnunet),
    "nifti": ExportFormat("NIfTI", "each", ".nii.gz", nifti_labels.write_nifti, stacks=True),
    "dicomseg": ExportFormat(
        "DICOM segmentation", "each", ".dcm", dicom_segmentation.write_dicomseg, True
    ),
    "clicks": ExportFormat("clicks as CSV", "file", ".csv", click_list.write_clicks),
}


@dataclass(frozen=True, slots=True)
class ExportSource:
    """An annotated image that is read when its turn comes.

    Parameters
    ----------
    read : callable
        Returns it.
    """

    name: str
    read: Callable[[], AnnotatedImage]


def sources_of(
    paths: Sequence[Path],
    *,
    image: Path | None = None,
    pixel_size: PixelSize | None = None,
    note: Callable[[str], object],
) -> list[ExportSource]:
    """List the annotated images of projects, and masks.

    Parameters
    ----------
    paths : sequence of Path
        Of project folders, tables of projects, and masks.
    image : Path, optional
        That the mask belongs to, where there is one.
    pixel_size : PixelSize, optional
        Counts in place of what files say.
    note : callable
        Called with a line on what is left out.

    Raises
    ------
    FormatError, ProjectError
        If there is nothing, or two images of one name.
    """
    sources: list[ExportSource] = []
    for path in paths:
        if _holds_project(path):
            project = read_project(path)
            for line in project.left_out:
                note(line)
            sources += [
                ExportSource(record.name, partial(annotated_record, record, project))
                for record in project.records
            ]
        else:
            sources.append(ExportSource(path.name, partial(annotated_mask, path, image)))
    if image is not None and (len(sources) != 1 or _holds_project(paths[0])):
        raise FormatError("--image goes with one mask.")
    if not sources:
        raise FormatError("No image is annotated; there is nothing to export.")
    if pixel_size is None:
        return sources
    return [ExportSource(one.name, partial(_resized, one.read, pixel_size)) for one in sources]


def _resized(read: Callable[[], AnnotatedImage], pixel_size: PixelSize) -> AnnotatedImage:
    return replace(read(), pixel_size=pixel_size)


def _holds_project(path: Path) -> bool:
    if path.suffix.lower() == ".csv" and path.is_file():
        read_table(path)  # says what is wrong with a table that is none
        return True
    return path.is_dir() and is_project(path)


def export(
    sources: Sequence[ExportSource],
    to: str,
    out: Path,
    *,
    overwrite: bool = False,
    note: Callable[[str], object] = lambda _: None,
    progress: Callable[[int, int], object] = lambda _done, _total: None,
    **options: Any,
) -> int:
    """Write annotated images in a format; all of them, or nothing.

    Parameters
    ----------
    sources : sequence of ExportSource
        Read one by one.
    to : str
        A key of `FORMATS`.
    out : Path
        A file or a folder, as the format wants it.
    overwrite : bool
        Files that are there may be replaced.
    note : callable
        Called with a line on what could not be kept.
    progress : callable
        Called with the number of images done, and how many there are; what it raises ends the
        work, and nothing is written then.
    **options
        Of the format, as ``polygons=True`` of COCO.

    Returns
    -------
    int
        How many images were written.

    Raises
    ------
    FormatError
        If the format can't hold them, or the place is taken.
    ImageError, ProjectError
        If one can't be read.
    """
    form = FORMATS[to]
    images = _read(sources, note, progress)
    single = form.kind == "each" and len(sources) == 1 and _fits(out, form.suffix)
    if form.kind == "file" or (single and to != "omezarr"):
        _check_free(out, overwrite, folder=False)
        if form.kind == "file":
            write_whole(out, lambda path: form.write(images, path, note, **options))
        else:
            image = _one_plane(next(images), form)
            write_whole(out, lambda path: form.write(image, path, note, **options))
            next(images, None)
        return len(sources)
    _check_free(out, overwrite, folder=True)
    with naming(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        place = tempfile.mkdtemp(prefix=f"{PARTIAL}{this_process()}-", dir=out.absolute().parent)
        try:
            _made(form, images, single, Path(place), out, note, options)
        finally:
            shutil.rmtree(place, ignore_errors=True)
    return len(sources)


def _made(
    form: ExportFormat,
    images: Iterator[AnnotatedImage],
    single: bool,
    place: Path,
    out: Path,
    note: Callable[[str], object],
    options: dict[str, Any],
) -> None:
    """Write a folder, or a single image that is one, and move it to where it belongs."""
    new = place / "new"
    new.mkdir()
    if single:
        form.write(_one_plane(next(images), form), new / out.name, note, **options)
        next(images, None)
        _settle(new / out.name, out, place)
    else:
        _fill(form, images, new, note, options)
        _settle(new, out, place)


def _fits(out: Path, suffix: str) -> bool:
    return out.name.lower().endswith(suffix) and not (suffix != ".zarr" and out.is_dir())


def _read(
    sources: Sequence[ExportSource],
    note: Callable[[str], object],
    progress: Callable[[int, int], object],
) -> Iterator[AnnotatedImage]:
    names: set[str] = set()
    for done, source in enumerate(sources):
        progress(done, len(sources))
        image = source.read()
        name, number = image.name, 1
        while name.lower() in names:
            number += 1
            name = f"{image.name}_{number}"
        if name != image.name:
            note(f"There are several images called {image.name}; one is written as {name}.")
        names.add(name.lower())
        yield replace(image, name=name)
    progress(len(sources), len(sources))


def _one_plane(image: AnnotatedImage, form: ExportFormat) -> AnnotatedImage:
    if image.labels.ndim > 2 and not form.stacks:
        raise FormatError(
            f"{image.name} is a stack, and {form.title} keeps a file for each plane; give a folder."
        )
    return image


def _fill(
    form: ExportFormat,
    images: Iterator[AnnotatedImage],
    folder: Path,
    note: Callable[[str], object],
    options: dict[str, Any],
) -> None:
    """Write images into an empty folder."""
    if form.kind == "folder":
        form.write(images, folder, note, **options)
        return
    for image in images:
        for one in (image,) if form.stacks else image.planes():
            suffix = ".ome.zarr" if form.suffix == ".zarr" else form.suffix
            form.write(one, folder / f"{one.name}{suffix}", note, **options)


def _check_free(out: Path, overwrite: bool, *, folder: bool) -> None:
    """See that nothing is lost where files are written."""
    if folder and out.exists() and not out.is_dir():
        raise FormatError(f"{out} is a file; give a folder.")
    if not folder and out.is_dir():
        raise FormatError(f"{out} is a folder; give the name of a file.")
    if not folder and not out.absolute().parent.is_dir():
        raise FormatError(f"There is no folder {out.absolute().parent}; make it first.")
    if overwrite or not out.exists() or (folder and not any(out.iterdir())):
        return
    raise FormatError(f"{out} is there already; choose another name, or add --overwrite.")


def _settle(new: Path, out: Path, place: Path) -> None:
    """Move what was written to where it belongs; what is there and has no new version stays."""
    if not out.exists():
        os.replace(new, out)
        return
    if out.suffix == ".zarr":  # chunks of an old one would be taken for the new one's
        os.replace(out, place / "old")
        os.replace(new, out)
        return
    for path in sorted(new.iterdir()):
        target = out / path.name
        if path.is_dir() and target.is_dir():
            _settle(path, target, place)
        else:
            os.replace(path, target)
