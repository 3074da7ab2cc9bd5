"""Opening a project folder as layers: each image with its labels and its clicks.

Images of one shape and dtype become one stack, which is read plane by plane as it is looked at.
The labels are read at once, as they are there to be edited.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_warning

from napari_clickseg._napari.annotate.lines import outline_of
from napari_clickseg._napari.project.opened import plane_pixel_size
from napari_clickseg._napari.project.slide_mask import is_slide_shape
from napari_clickseg._napari.viewer.features import features_of, with_notes
from napari_clickseg._napari.viewer.layers import (
    CLICK_EDGE,
    NEGATIVE,
    POSITIVE,
    begun_pyramid,
    click_breadth,
    click_limits,
    empty_pyramid,
)
from napari_clickseg._napari.viewer.metadata import (
    ObjectClasses,
    Origin,
    with_classes,
    with_complete,
    with_empty,
)
from napari_clickseg._napari.viewer.pixels import placed
from napari_clickseg.core.clicks import Click
from napari_clickseg.core.source import ImageError
from napari_clickseg.data.annotations import Annotations, read_clicks
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.images import Layout, is_image_file, read_layout, read_plane
from napari_clickseg.data.index import INDEX, read_table
from napari_clickseg.data.inspection.summary import named, number
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.names import image_stem, record_name
from napari_clickseg.data.project import Project, Record, Unannotated, is_project, read_project
from napari_clickseg.data.reading.dicom import patient_group
from napari_clickseg.formats.omezarr import saved_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt
    from napari.types import LayerDataTuple

    from napari_clickseg.data.classes import ProjectClasses
    from napari_clickseg.data.pixel_size import PixelSize

    Entry = Record | Unannotated

_CHUNK = 1024  # pixels
_MOST = 12  # stacks, beyond which a viewer becomes a heap of layers


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerDataTuple]] | None:
    """Return what opens a project folder, its `index.csv`, or a folder of images; else None.

    Of the plugin's readers it is asked last. napari offers them for any folder, so it says of
    those without images that there are none.
    """
    if not isinstance(path, str):
        return None
    if _project_folder(Path(path)) is not None or _pictures(Path(path)):
        return _open
    return _refuse if Path(path).is_dir() else None


def _refuse(path: str) -> list[LayerDataTuple]:
    """Say why nothing opens; for nothing to read, napari would show a traceback."""
    name = Path(path).name
    if name.endswith(".zarr"):
        show_warning(f"{name} is no project: open it with napari's own reader.")
    else:
        show_warning(f"No image lies in {name}: open the folder that has them.")
    return [(None,)]  # npe2's word for no layer


def _project_folder(path: Path) -> Path | None:
    folder = path.parent if path.name == INDEX else path
    if (folder / INDEX).is_file():
        try:
            read_table(folder / INDEX)
        except ProjectError:
            return None
        return folder
    if path.name == "images" and not (folder / "images").is_dir():
        return _project_folder(path.parent) if _pictures(path) else None
    pair = (folder / "images").is_dir() and (folder / "masks").is_dir()
    return folder if pair or _pictures(folder / "images") else None


def _pictures(folder: Path) -> list[Path]:
    """Return the images that lie directly in a folder."""
    if folder.suffix == ".zarr" or not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if is_image_file(path)]


def _plain(folder: Path) -> Project:
    """Return a folder of images as a project in which nothing is annotated."""
    groups = {path: patient_group(path) for path in _pictures(folder)}
    entries = tuple(
        Unannotated(path, group or image_stem(path.name), path.name)
        for path, group in groups.items()
    )
    ungrouped = frozenset(path.name for path, group in groups.items() if not group)
    return Project(folder, (), entries, None, ungrouped)


def _open(path: str) -> list[LayerDataTuple]:
    folder = _project_folder(Path(path))
    if folder is None:
        return open_project(_plain(Path(path)))
    return open_project(read_project(folder))


@dataclass(frozen=True, slots=True)
class _Stack:
    """Images that are alike."""

    name: str
    layout: Layout
    entries: tuple[Entry, ...]
    pixel_size: PixelSize | None = None

    @property
    def plane(self) -> tuple[int, int]:
        """Height and width."""
        return self.layout.shape[0], self.layout.shape[1]

    @property
    def single(self) -> bool:
        """Whether there is one image only."""
        return len(self.entries) == 1

    @property
    def is_slide(self) -> bool:
        """Whether it is one image that is too large to be read before it is looked at."""
        return self.single and not self.channels and is_slide_shape(self.plane)

    @property
    def channels(self) -> int:
        """How many channels have an axis of their own; 0 if there is none."""
        return 0 if self.layout.rgb or len(self.layout.shape) == 2 else self.layout.shape[2]

    @property
    def lead(self) -> tuple[str, ...]:
        """The axes before y and x."""
        return ("image",) * (not self.single) + ("channel",) * bool(self.channels)

    def index(self, at: int) -> tuple[int, ...]:
        """Return the position of an image along every axis of the labels, as `Plane.index`."""
        return (*(at if name == "image" else 0 for name in self.lead), 0, 0)


def open_project(project: Project) -> list[LayerDataTuple]:
    """Return the layers of a project; what can't be shown is told in a warning.

    Raises
    ------
    ProjectError
        If no image can be read.
    """
    stacks, unreadable = _stacks(project)
    warnings = list(project.left_out)
    if unreadable:
        warnings.append(f"{named(unreadable)} cannot be read.")
    if not stacks:
        raise ProjectError(f"No image of {project.folder} can be read.")
    if len(stacks) > _MOST:
        left = sum(len(stack.entries) for stack in stacks[_MOST:])
        warnings.append(
            f"The images are of {len(stacks)} different sizes or kinds; the first {_MOST} are "
            f"opened, {number(left, 'image is', 'images are')} not. Put fewer into a folder of "
            "their own to see them."
        )
    layers: list[LayerDataTuple] = []
    for at, stack in enumerate(stacks[:_MOST]):
        layers += _layers(project, stack, visible=at == 0, warnings=warnings)
    for text in warnings:
        show_warning(text)
    return layers


def _stacks(project: Project) -> tuple[list[_Stack], list[str]]:
    """Return the images that are alike together, and the names of those that can't be read."""
    alike: dict[tuple[Any, ...], list[Entry]] = {}
    layouts: dict[tuple[Any, ...], Layout] = {}
    unreadable = []
    every: list[Entry] = [*project.records, *project.unannotated]
    for entry in sorted(every, key=lambda each: each.name):
        try:
            layout = read_layout(entry.image)
        except ImageError:
            unreadable.append(entry.name)
            continue
        size = plane_pixel_size(entry)
        key = layout.shape, layout.dtype, layout.rgb, size
        layouts[key] = layout
        alike.setdefault(key, []).append(entry)
    title = project.folder.resolve().name
    return [
        _Stack(
            _title(title, entries, layouts[key], len(alike)), layouts[key], tuple(entries), key[-1]
        )
        for key, entries in alike.items()
    ], unreadable


def _title(folder: str, entries: Sequence[Entry], layout: Layout, stacks: int) -> str:
    if len(entries) == 1:
        return record_name(entries[0].name)
    height, width = layout.shape[:2]
    return folder if stacks == 1 else f"{folder} {height} × {width} {layout.dtype}"


def _layers(
    project: Project, stack: _Stack, *, visible: bool, warnings: list[str]
) -> Iterator[LayerDataTuple]:
    """Yield the image, labels and clicks of a stack."""
    common: dict[str, Any] = {"visible": visible}
    if stack.lead:
        common["axis_labels"] = (*stack.lead, "y", "x")
    common |= placed(stack.pixel_size, "Q" * len(stack.lead) + "YX")
    image = {"name": stack.name, "rgb": stack.layout.rgb, "metadata": _origin(project, stack)}
    yield _images(stack), {**image, **common}, "image"
    common |= _beside(stack, common.get("scale"))
    notes = [_notes(entry, warnings) for entry in stack.entries]
    labels, empty = _labels(stack, warnings)
    metadata = with_classes(project.classes, _object_classes(stack, notes)) | with_empty(empty)
    metadata |= with_complete(_complete(stack))
    metadata |= _origin(project, stack)  # whose labels they are
    own: dict[str, Any] = _colours(project.classes)
    if stack.single and (notes[0].classes or notes[0].objects):
        metadata |= with_notes(notes[0].objects)
        own["features"] = features_of(project.classes, notes[0].classes, notes[0].objects)
    if isinstance(labels, list):
        own["multiscale"] = True
    meta = {"name": f"{stack.name} annotation", "metadata": metadata, **own}
    yield labels, {**meta, **common}, "labels"
    noted = [click for each in notes for click in each.clicks]
    if any(click.drawn is None for click in noted):
        points, options = _clicks(stack, notes)
        yield points, {"name": f"{stack.name} clicks", **options, **common}, "points"
    if any(click.drawn is not None for click in noted):
        lines, options = _drawn(stack, notes)
        yield lines, {"name": f"{stack.name} drawn", **options, **common}, "shapes"


def _origin(project: Project, stack: _Stack) -> dict[str, Any]:
    entries = stack.entries
    return Origin(
        str(project.folder.resolve()) if is_project(project.folder) else "",
        [record_name(entry.name) for entry in entries],
        ["" if entry.name in project.ungrouped else entry.group for entry in entries],
        [entry.split for entry in entries],
        not stack.single,
        len(stack.lead) - 1 if stack.channels else None,
    ).as_metadata()


def _images(stack: _Stack) -> Any:
    """Return the image, or the images of a stack, which are read when they are looked at."""
    import dask.array as da
    from dask.delayed import delayed

    def read(path: Path) -> npt.NDArray[Any]:
        plane = read_plane(path).data
        pixels = np.asarray((plane[0] if isinstance(plane, list) else plane)[:, :])
        return np.moveaxis(pixels, -1, 0) if stack.channels else pixels

    layout = stack.layout
    if stack.is_slide:
        data: Any = read_plane(stack.entries[0].image).data
        levels = [_lazy(level) for level in (data if isinstance(data, list) else [data])]
        return levels if len(levels) > 1 else levels[0]
    shape = (stack.channels, *stack.plane) if stack.channels else layout.shape
    planes = [
        da.from_delayed(delayed(read)(entry.image), shape, layout.dtype)  # type: ignore[no-untyped-call]
        for entry in stack.entries
    ]
    return planes[0] if stack.single else da.stack(planes)  # type: ignore[no-untyped-call]


def _lazy(level: Any) -> Any:
    """Return a level as napari takes it: read in chunks, where they are looked at."""
    import dask.array as da

    chunks = tuple(min(n, _CHUNK) for n in level.shape)
    return da.from_array(level, chunks=chunks, asarray=False)  # type: ignore[no-untyped-call]


def _beside(stack: _Stack, scale: npt.NDArray[Any] | None) -> dict[str, Any]:
    """Return where labels lie: along channels they have one pixel, stretched over all of them."""
    if not stack.channels:
        return {}
    n = stack.channels
    return {
        "scale": [
            *(1.0 for _ in stack.lead[:-1]),
            float(n),
            *((1.0, 1.0) if scale is None else scale[-2:]),
        ],
        "translate": [*(0.0 for _ in stack.lead[:-1]), (n - 1) / 2, 0.0, 0.0],
    }


def _labels(stack: _Stack, warnings: list[str]) -> tuple[Any, list[tuple[int, ...]]]:
    """Read the masks of a stack, and find those that are really empty."""
    n = len(stack.entries)
    if stack.is_slide and (there := _slide_labels(stack, stack.entries[0])) is not None:
        return there
    labels: npt.NDArray[Any] = np.zeros((n, *stack.plane), np.uint16)
    empty, wrong = [], []
    for at, entry in enumerate(stack.entries):
        if isinstance(entry, Unannotated):
            continue
        try:
            mask = _mask(entry, stack.plane)
        except ImageError:
            wrong.append(entry.name)
            continue
        if int(mask.max(initial=0)) > np.iinfo(labels.dtype).max:
            labels = labels.astype(np.uint32)
        labels[at] = mask
        if not mask.any():
            empty.append(stack.index(at))
    if wrong:
        warnings.append(
            f"The {'mask' if len(wrong) == 1 else 'masks'} of {named(wrong)} cannot be used; "
            "nothing is shown there."
        )
    lead = [1 if name == "channel" else n for name in stack.lead]
    return labels.reshape(*lead, *stack.plane), empty


def _slide_labels(stack: _Stack, entry: Entry) -> tuple[Any, list[tuple[int, ...]]] | None:
    """Return the levels of a slide's labels; None where its mask is an ordinary file."""
    if isinstance(entry, Unannotated):
        return empty_pyramid(stack.plane, (0, 1)), []
    said = saved_in(entry.mask) if entry.mask.is_dir() else None
    if said is None:
        return None
    levels = begun_pyramid(entry.mask)
    if levels[0].shape != stack.plane:
        return None  # which is said as of any other mask
    return levels, [stack.index(0)] if said.get("empty") else []


def _mask(record: Record, shape: tuple[int, int]) -> npt.NDArray[Any]:
    mask = read_labels(record.mask)
    if mask.shape != shape or (mask.dtype.kind == "i" and mask.min(initial=0) < 0):
        raise ImageError(f"The mask of {record.name} does not fit it.")
    return mask


def _notes(entry: Entry, warnings: list[str]) -> Annotations:
    if isinstance(entry, Record) and entry.clicks is not None:
        try:
            return read_clicks(entry.clicks)
        except ProjectError as error:
            warnings.append(str(error))
    return Annotations()


def _complete(stack: _Stack) -> dict[tuple[int, ...], bool]:
    """Return of which images the project says whether all their objects are labelled."""
    said = {stack.index(at): entry.complete for at, entry in enumerate(stack.entries)}
    return {index: on for index, on in said.items() if on is not None}


def _object_classes(stack: _Stack, notes: Sequence[Annotations]) -> ObjectClasses:
    """Return the classes of objects, image by image: an id may be another object in each."""
    if stack.single:
        return ObjectClasses(notes[0].classes)
    return ObjectClasses(
        by_plane={stack.index(at): note.classes for at, note in enumerate(notes) if note.classes}
    )


def _clicks(
    stack: _Stack, notes: Sequence[Annotations]
) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
    at, positive, objects = [], [], []
    for i, each in enumerate(notes):
        for click in (one for one in each.clicks if one.drawn is None):
            lead = [0.0 if name == "channel" else float(i) for name in stack.lead]
            at.append([*lead, click.y, click.x])
            positive.append(click.positive)
            objects.append(click.object or 0)
    return np.array(at), {
        "features": {"positive": positive, "object": objects},
        "face_color": [POSITIVE if each else NEGATIVE for each in positive],
        "symbol": ["disc" if each else "square" for each in positive],
        "border_color": "white",
        "border_width": CLICK_EDGE,
        "size": click_breadth(max(stack.plane)),
        "canvas_size_limits": click_limits(8),
    }


def _drawn(
    stack: _Stack, notes: Sequence[Annotations]
) -> tuple[list[npt.NDArray[np.float64]], dict[str, Any]]:
    """Return boxes, scribbles and lassos as shapes."""
    lines, shown = [], []
    for i, each in enumerate(notes):
        lead = [0.0 if name == "channel" else float(i) for name in stack.lead]
        for click in each.clicks:
            if not isinstance(gesture := click.gesture, Click):
                line = outline_of(gesture)
                before = np.tile(lead, (len(line.points), 1))
                lines.append(np.concatenate([before, line.points], axis=1))
                shown.append(("polygon" if line.closed else "path", line.positive, click.object))
    return lines, {
        "features": {
            "positive": [positive for _, positive, _ in shown],
            "object": [of or 0 for _, _, of in shown],
        },
        "shape_type": [kind for kind, _, _ in shown],
        "edge_color": [POSITIVE if positive else NEGATIVE for _, positive, _ in shown],
        "face_color": "transparent",
    }


def _colours(classes: ProjectClasses | None) -> dict[str, Any]:
    """Return the colours of the labels: those of the classes, where ids are classes."""
    from napari_clickseg._napari.viewer.colours import colours_of, label_colormap

    colours = colours_of(classes)
    return {"colormap": label_colormap(colours)} if colours else {}
