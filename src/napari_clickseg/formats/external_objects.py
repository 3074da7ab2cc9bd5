"""What a file says of an image's objects, before they are drawn; and drawing them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.annotations import Annotations, ObjectNote, ProjectClick
from napari_clickseg.formats.shapes.filling import MaskPart, filled, windings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.data.classes import ProjectClasses
    from napari_clickseg.data.pixel_size import PixelSize
    from napari_clickseg.formats.problems import Problems

_BEYOND = 1.0  # pixels by which an outline may leave the image without a word
_TREMBLE, _CROSSING = 2, 0.01  # pixels, and share of all, in loops that do not matter


@dataclass(frozen=True, eq=False, slots=True)
class ExternalObject:
    """An object that a file tells of.

    Parameters
    ----------
    where : str
        What messages call it.
    part : callable
        Returns its pixels, given the image's shape; raises ValueError with what is wrong.
    id : int, optional
        Its id, if the file says one; all objects of an image are numbered anew if one lacks it.
    ignored : bool
        Its pixels count neither way: it is no object, but says that something is not known.
    """

    where: str
    part: Callable[[tuple[int, int]], MaskPart]
    id: int | None = None
    class_id: int | None = None
    note: ObjectNote = field(default_factory=ObjectNote)
    ignored: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class ExternalImage:
    """What a file says of an image.

    Parameters
    ----------
    file : str
        The image's file name, or its stem.
    mask : callable, optional
        Returns ids (Y, X) where the file holds them; there are no `objects` then.
    shape : (int, int), optional
        Of the image, as the file says it.
    notes : Annotations
        Of a mask's objects, and clicks.
    pixel_size, group, split
        As in `AnnotatedImage`.
    images : tuple of Path
        The image's file, or one for each channel, where it need not be looked for.
    plane : tuple of int
        Which plane of the image's file, where that is a stack; see `StoredImage.plane`.
    stack : tuple of int
        The lengths of that stack's axes, as the file says them.
    instance : str
        The identifier of a DICOM image, by which it is looked for first.
    sparse : bool
        Objects of which no pixel lies in this image are in others of the file.
    """

    file: str
    objects: tuple[ExternalObject, ...] = ()
    mask: Callable[[], npt.NDArray[Any]] | None = None
    shape: tuple[int, int] | None = None
    notes: Annotations = field(default_factory=Annotations)
    pixel_size: PixelSize | None = None
    group: str = ""
    split: str = ""
    images: tuple[Path, ...] = ()
    plane: tuple[int, ...] = ()
    stack: tuple[int, ...] = ()
    instance: str = ""
    sparse: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class ExternalFile:
    """What a file, or a folder, says: images, and what the classes in them mean."""

    images: tuple[ExternalImage, ...]
    classes: ProjectClasses | None = None


def checked_rings(given: Iterable[object], shape: tuple[int, int]) -> list[npt.NDArray[np.float64]]:
    """Return rings (N, 2) of points, without the last one where it repeats the first.

    Parameters
    ----------
    given : iterable
        Lists of x and y.
    shape : (int, int)
        Of the image.

    Raises
    ------
    ValueError
        If one has fewer than three points, holds no numbers, or crosses itself.
    """
    rings = []
    for points in given:
        try:
            ring = np.asarray(points, np.float64)
            # A position may have a height as well, as GeoJSON allows.
            ring = ring[:, :2] if ring.ndim == 2 else ring.reshape(-1, 2)
            ring = ring.reshape(len(ring), 2)
        except (TypeError, ValueError, OverflowError):
            raise ValueError("its outline is no list of points") from None
        if not np.isfinite(ring).all():
            raise ValueError("its outline has points that are no numbers")
        if len(ring) > 1 and (ring[0] == ring[-1]).all():
            ring = ring[:-1]
        if len(ring) < 3:
            raise ValueError(f"its outline has {len(ring)} points; three are needed")
        if _crosses(ring) and _is_unclear(ring, shape):
            raise ValueError("its outline crosses itself")
        rings.append(ring)
    return rings


def _crosses(ring: npt.NDArray[np.float64]) -> bool:
    """Whether a ring crosses itself; lines that are walked both ways do not count.

    Those join holes and pieces to one another, where an object has to be a single polygon.
    """
    import shapely

    if shapely.is_valid(shapely.Polygon(ring)):
        return False
    edges = np.stack([ring, np.roll(ring, -1, axis=0)], axis=1)
    both = {tuple(edge.ravel()) for edge in edges} & {
        tuple(edge.ravel()) for edge in edges[:, ::-1]
    }
    once = np.array([tuple(edge.ravel()) not in both for edge in edges])
    lines = shapely.linestrings(edges[once])
    return bool(shapely.STRtree(lines).query(lines, predicate="crosses").size)


def _is_unclear(ring: npt.NDArray[np.float64], shape: tuple[int, int]) -> bool:
    """Whether it matters that a ring crosses itself: it goes around pixels in two ways.

    A loop where a hand trembled does not matter.
    """
    around = windings(ring, shape)
    main = max((around == 1).sum(), (around == -1).sum())
    other = (around != 0).sum() - main
    return bool(other > max(_TREMBLE, _CROSSING * main))


def outlined(
    rings: Sequence[npt.NDArray[np.float64]], shape: tuple[int, int]
) -> tuple[MaskPart, bool]:
    """Return the pixels within rings, and whether the rings leave the image.

    Raises
    ------
    ValueError
        If nothing of them lies in the image, or no pixel's centre within them.
    """
    points = np.concatenate(list(rings))
    low, high = points.min(axis=0), points.max(axis=0)
    height, width = shape
    if high[0] <= 0 or high[1] <= 0 or low[0] >= width or low[1] >= height:
        raise ValueError(f"it lies outside of the image of {height} × {width} pixels")
    beyond = min(*low, width - high[0], height - high[1]) < -_BEYOND
    part = filled(rings, shape)
    if not part.mask.any():
        raise ValueError("it encloses no pixel")
    return part, bool(beyond)


def drawn(
    image: ExternalImage, shape: tuple[int, int], ignore: int | None, problems: Problems
) -> tuple[npt.NDArray[Any], Annotations]:
    """Draw the objects of an image, the largest first, so that none hides a smaller one.

    Parameters
    ----------
    shape : (int, int)
        Of the image.
    ignore : int, optional
        The id that stands for pixels that count neither way.
    problems : Problems
        Is told of objects that can't be drawn, or are hidden by others.

    Returns
    -------
    uint32 (Y, X), Annotations
    """
    parts = []
    for each in image.objects:
        try:
            part = each.part(shape)
        except ValueError as error:
            problems.add(f"{image.file}, {each.where}", str(error))
            continue
        if part.mask.any() or not image.sparse:
            parts.append((each, part))
    ids = _numbered([each for each, _ in parts], ignore)
    labels = np.zeros(shape, np.uint32)
    order = sorted(range(len(parts)), key=lambda i: (not parts[i][0].ignored, -_size(parts[i][1])))
    overlapping = 0
    for i in order:
        part = parts[i][1]
        under = labels[part.key]
        known = under[part.mask]
        overlapping += int(((known != 0) & (known != (ignore or 0))).sum())
        under[part.mask] = ids[i]
    if overlapping:
        problems.note(
            f"{image.file}: objects overlap in {overlapping:,} pixels; each pixel is kept as the "
            "smaller object's."
        )
        for i in order:
            part = parts[i][1]
            if not (labels[part.key][part.mask] == ids[i]).any():
                problems.add(f"{image.file}, {parts[i][0].where}", "others cover all of it")
    there = {ids[i]: each for i, (each, _) in enumerate(parts) if not each.ignored}
    return labels, Annotations(
        clicks=_renumbered(image, parts, ids),
        classes={one: each.class_id for one, each in there.items() if each.class_id is not None},
        objects={one: each.note for one, each in there.items() if each.note},
    )


def _size(part: MaskPart) -> int:
    return int(part.mask.sum())


def _renumbered(
    image: ExternalImage, parts: Sequence[tuple[ExternalObject, MaskPart]], ids: Sequence[int]
) -> tuple[ProjectClick, ...]:
    """Return the clicks of an image, on objects as they are numbered now."""
    new = {each.id: ids[i] for i, (each, _) in enumerate(parts) if each.id is not None}
    clicks = image.notes.clicks
    return tuple(c.model_copy(update={"object": new.get(c.object or 0)}) for c in clicks)


def _numbered(objects: Sequence[ExternalObject], ignore: int | None) -> list[int]:
    """Return an id for each object: its own where all say one, else 1, 2, … without `ignore`."""
    said = [each.id for each in objects if not each.ignored]
    if None not in said and len(set(said)) == len(said) and ignore not in said:
        return [int(ignore or 0) if each.ignored else int(each.id or 0) for each in objects]
    free = (n for n in range(1, len(objects) + 2) if n != ignore)
    return [int(ignore or 0) if each.ignored else next(free) for each in objects]
