"""What all formats share: an image with the ids of its objects, and all that is known of them."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.annotations import Annotations, ObjectNote, read_clicks
from napari_clickseg.data.classes import ProjectClasses
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.images import open_image
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.names import record_name, safe_name
from napari_clickseg.data.paths import read_text
from napari_clickseg.data.pixel_size import PixelSize, read_pixel_size, stated_pixel_size
from napari_clickseg.formats.shapes.outlines import outlines

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    import numpy.typing as npt

    from napari_clickseg.data.project import Project, Record
    from napari_clickseg.formats.shapes.outlines import Piece

SCHEMA_VERSION = 1
NAMELESS = ("object", "no class")  # what objects without a class are called, where one is wanted
_EMBEDDED = "clickseg"  # where the description of a TIFF of ours keeps what a sidecar would say


class FormatError(ValueError):
    """A file that can't be read or written in a format; the message says what to do."""


def nameless(names: Collection[str | None]) -> str:
    """Return what objects without a class are called, where a format wants a class of each.

    Parameters
    ----------
    names : collection of str
        Of the classes that there are; it is none of them.
    """
    more = (f"no class {n}" for n in itertools.count(2))
    return next(one for one in itertools.chain(NAMELESS, more) if one not in names)


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """An object as tables have it: a row an id.

    Parameters
    ----------
    id : int
        Its pixels have it.
    class_name : str
        "" where no class is known.
    score : float, optional
        The model's probability, on the object's average.
    clicks : int, optional
        How many it took; None where that is not known.
    model : str
        Which model outlined it; "" where that is not known.
    """

    id: int
    class_id: int | None = None
    class_name: str = ""
    score: float | None = None
    clicks: int | None = None
    model: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class AnnotatedImage:
    """An image with the ids of its objects, and all that is known of them.

    Parameters
    ----------
    name : str
        Of the image, without suffix; files are named after it.
    labels : int (…, Y, X)
        Ids; 0 is the background.
    image : Path, optional
        The image's file; None where there is a mask alone.
    file : str
        The image's file name, as other programs are to find it.
    group, split : str
        As in `data.project.Record`.
    axes : str
        A letter for each axis of the labels, of which the last two are Y and X.
    classes : ProjectClasses, optional
        What ids mean. With the scheme "classes" an id is a class's, so an object is all that is
        labelled with it.
    annotations : Annotations
        Clicks, the class of each object, and how each came about.
    """

    name: str
    labels: npt.NDArray[Any]
    image: Path | None = None
    file: str = ""
    group: str = ""
    split: str = ""
    axes: str = "YX"
    pixel_size: PixelSize | None = None
    classes: ProjectClasses | None = None
    annotations: Annotations = field(default_factory=Annotations)

    @property
    def plane(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.labels.shape[-2:]
        return int(height), int(width)

    @property
    def ignore(self) -> int | None:
        """The id of pixels that count neither way."""
        return None if self.classes is None else self.classes.ignore

    def rows(self) -> Mapping[int, ObjectRow]:
        """Return what is known of the objects of which anything is; others have an id alone."""
        notes = self.annotations
        counts = Counter(click.object for click in notes.clicks if click.object is not None)
        by_class = self.classes is not None and self.classes.scheme == "classes"
        known = {one.id: one for one in self.classes.classes} if self.classes is not None else {}
        of_each = {one: one for one in known} if by_class else notes.classes
        rows = {}
        for one in {*counts, *of_each, *notes.objects}:
            known_class = known.get(of_each.get(one, 0))
            note = notes.objects.get(one, ObjectNote())
            rows[one] = ObjectRow(
                one,
                None if known_class is None else known_class.id,
                "" if known_class is None else known_class.name,
                note.score,
                counts.get(one) if note.clicks is None else note.clicks,
                note.model,
            )
        return rows

    def colour_of(self, class_id: int | None) -> str:
        """Return the colour of a class, as #rrggbb; grey where it is none."""
        every = self.classes.classes if self.classes is not None else ()
        return next((one.colour for one in every if one.id == class_id), "#808080")

    def outlined(
        self, note: Callable[[str], object]
    ) -> Iterator[tuple[ObjectRow, tuple[Piece, ...]]]:
        """Yield a plane's objects with their pieces, by rising ids; unknown pixels are left out.

        Parameters
        ----------
        note : callable
            Called with a line if there are unknown pixels.
        """
        rows = self.rows()
        for identifier, pieces in outlines(self.labels):
            if identifier == self.ignore:
                note(f"{self.name}: pixels marked as unknown ({identifier}) are left out.")
            else:
                yield rows.get(identifier) or ObjectRow(identifier), pieces

    def planes(self) -> Iterator[AnnotatedImage]:
        """Yield the planes of a stack as images of their own; a plane as it is."""
        lead = self.labels.shape[:-2]
        if not lead:
            yield self
            return
        for index in itertools.product(*(range(n) for n in lead)):
            at = "_".join(
                f"{axis.lower()}{i:0{len(str(n - 1))}d}"
                for axis, i, n in zip(self.axes, index, lead, strict=False)
            )
            yield replace(
                self,
                name=f"{self.name}_{at}",
                file=f"{self.name}_{at}{PurePosixPath(self.file).suffix}" if self.file else "",
                labels=self.labels[index],
                axes="YX",
                image=None,
                group=self.group or self.name,
            )

    def sidecar(self) -> dict[str, Any]:
        """Return what a sidecar keeps: all but the pixels, and where image and mask lie."""
        saved: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "axes": self.axes}
        if self.file:
            saved["image"] = self.file
        if self.pixel_size is not None:
            saved["pixel_size"] = self.pixel_size.as_json()
        if self.classes is not None:
            saved |= self.classes.model_dump(exclude={"schema_version"}, exclude_none=True)
        notes = self.annotations
        every = sorted({*notes.classes, *notes.objects})
        objects = [
            {"id": one}
            | ({"class": notes.classes[one]} if one in notes.classes else {})
            | (notes.objects[one].model_dump(exclude_defaults=True) if one in notes.objects else {})
            for one in every
        ]
        if objects:
            saved["objects"] = objects
        if notes.clicks:
            saved["clicks"] = [click.model_dump(exclude_none=True) for click in notes.clicks]
        return saved

    def with_sidecar(self, saved: Mapping[str, Any]) -> AnnotatedImage:
        """Return the same with what a sidecar says.

        Raises
        ------
        FormatError
            If it makes no sense, or is of a newer version of this program.
        """
        try:
            version = int(saved.get("schema_version", SCHEMA_VERSION))
            if version > SCHEMA_VERSION:
                raise FormatError(
                    f"{self.name}: what is known of its objects has version {version}, this "
                    f"program knows up to {SCHEMA_VERSION}; update napari-clickseg."
                )
            objects = saved.get("objects", [])
            classes = {int(one["id"]): int(one["class"]) for one in objects if "class" in one}
            notes = {int(one["id"]): ObjectNote.model_validate(one) for one in objects}
            said = {key: saved[key] for key in ("scheme", "classes", "ignore") if key in saved}
            axes = str(saved.get("axes", self.axes))
            return replace(
                self,
                file=str(saved.get("image", self.file)),
                axes=axes if len(axes) == self.labels.ndim else self.axes,
                pixel_size=stated_pixel_size(saved.get("pixel_size")) or self.pixel_size,
                classes=ProjectClasses.model_validate(said) if said else self.classes,
                annotations=Annotations(
                    clicks=saved.get("clicks", ()),
                    classes=classes,
                    objects={one: note for one, note in notes.items() if note},
                ),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(
                f"{self.name}: what is said of its objects makes no sense; mend or delete it."
            ) from error


def ids_of(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the ids of a label map, rising, without 0; in strips, so that no copy is made."""
    ids: npt.NDArray[Any] = np.zeros(0, labels.dtype)
    rows = max(1, (1 << 22) // max(1, int(np.prod(labels.shape[1:]))))
    for top in range(0, labels.shape[0], rows):
        ids = np.union1d(ids, np.unique(np.asarray(labels[top : top + rows])))
    return ids[ids > 0]


def annotated_record(record: Record, project: Project) -> AnnotatedImage:
    """Read an annotated image of a project.

    Raises
    ------
    ImageError, ProjectError
        If its mask, or what is known of its objects, can't be read.
    """
    labels = read_labels(record.mask)
    notes = read_clicks(record.clicks) if record.clicks is not None else Annotations()
    return AnnotatedImage(
        safe_name(record_name(record.name)),
        labels.astype(np.uint8) if labels.dtype == np.bool_ else labels,
        record.image,
        PurePosixPath(record.name).name,
        "" if record.name in project.ungrouped else record.group,
        record.split,
        pixel_size=record.pixel_size or read_pixel_size(record.image),
        classes=project.classes,
        annotations=notes,
    )


def annotated_mask(path: Path, image: Path | None = None) -> AnnotatedImage:
    """Read a mask, with what its sidecar, or its own description, says of its objects.

    Parameters
    ----------
    path : Path
        Of a label map, of one plane or a stack.
    image : Path, optional
        That it belongs to.

    Raises
    ------
    ImageError, FormatError
        If it can't be read.
    """
    stored = open_image(path, ids=True)
    axes = "".join(name for name, _ in stored.stack_axes)
    if axes:
        sizes = [n for _, n in stored.stack_axes]
        planes = [read_labels(path, index) for index in np.ndindex(*sizes)]
        labels = np.stack(planes).reshape(*sizes, *planes[0].shape)
    else:
        labels = read_labels(path)
    name = _stem(path)
    annotated = AnnotatedImage(
        safe_name(_stem(image) if image is not None else name),
        labels.astype(np.uint8) if labels.dtype == np.bool_ else labels,
        image,
        image.name if image is not None else "",
        axes=f"{axes}YX",
        pixel_size=read_pixel_size(path) or (read_pixel_size(image) if image else None),
    )
    saved = read_sidecar(path)
    return annotated.with_sidecar(saved) if saved is not None else annotated


def sidecar_path(path: Path) -> Path:
    """Return where the sidecar of a mask lies."""
    return path.with_name(f"{_stem(path)}.clickseg.json")


def read_sidecar(path: Path) -> dict[str, Any] | None:
    """Return what the sidecar of a mask says, or the description of a TIFF of ours.

    Raises
    ------
    FormatError
        If there is a sidecar that can't be read.
    """
    beside = sidecar_path(path)
    try:
        saved = json.loads(read_text(beside))
    except FileNotFoundError:
        return _embedded(path)
    except (ProjectError, ValueError, RecursionError) as error:
        raise FormatError(f"{beside} cannot be read; mend it or delete it.") from error
    if not isinstance(saved, dict):
        raise FormatError(f"{beside} cannot be read; mend it or delete it.")
    return saved


def embedded(image: AnnotatedImage) -> dict[str, Any]:
    """Return what the description of a TIFF of ours says besides, so that it needs no sidecar."""
    return {_EMBEDDED: json.dumps(image.sidecar())}


def _embedded(path: Path) -> dict[str, Any] | None:
    import tifffile

    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    try:
        with tifffile.TiffFile(path) as file:
            described = file.shaped_metadata
        saved = json.loads(described[0][_EMBEDDED]) if described else None
    except (OSError, ValueError, LookupError, TypeError, tifffile.TiffFileError):
        return None
    return saved if isinstance(saved, dict) else None


def _stem(path: Path) -> str:
    for suffix in (".ome.tif", ".ome.tiff", ".ome.zarr", ".nii.gz"):
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem
