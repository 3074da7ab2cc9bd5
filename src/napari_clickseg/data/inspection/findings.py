"""Looking through a project before training: what is there, and what will not work."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.images import read_header, read_single_plane
from napari_clickseg.data.inspection.checks import find_problems
from napari_clickseg.data.inspection.facts import Findings, ImageFacts, Problem
from napari_clickseg.data.object_classes import classless_objects, read_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal

    import numpy.typing as npt

    from napari_clickseg.data.project import Project, Record

__all__ = ["Findings", "ImageFacts", "Problem", "inspect_project"]

_FEW = 10  # ids, up to which they may be classes
_FEWEST_GRADES = 4  # ids, from which on edges may be blurred
_HASHED = 1 << 28  # bytes of an image up to which it is compared with the others


def inspect_project(
    project: Project, progress: Callable[[int, int], object] | None = None
) -> Findings:
    """Read all annotated images and masks of a project, and say what is there.

    May run on any thread.

    Parameters
    ----------
    project : Project
        As `read_project` returns it.
    progress : callable, optional
        Called with the number of images that were read, and how many there are; what it raises
        ends the work.
    """
    ignore = project.classes.ignore if project.classes is not None else None
    images: list[ImageFacts] = []
    problems = [Problem("left_out", text, False) for text in project.left_out]
    for done, record in enumerate(project.records, 1):
        inspected = _inspect(project, record, ignore)
        if isinstance(inspected, Problem):
            problems.append(inspected)
        else:
            images.append(inspected)
        if progress is not None:
            progress(done, len(project.records))
    findings = Findings(
        tuple(images),
        len(project.unannotated),
        project.classes.scheme if project.classes is not None else _scheme(images),
        project.classes,
        sum(image.name in project.ungrouped for image in images),
    )
    problems += find_problems(findings)
    problems.sort(key=lambda problem: not problem.fatal)
    return Findings(
        findings.images,
        findings.unannotated,
        findings.scheme,
        findings.classes,
        findings.ungrouped,
        tuple(problems),
    )


def _inspect(project: Project, record: Record, ignore: int | None) -> ImageFacts | Problem:
    try:
        plane = read_single_plane(record.image)
        labels = read_mask(record)
        classless = classless_objects(record)
        besides = (*plane.notices, *read_header(record.mask, ids=True).notices)
    except ImageError as error:
        text = str(error).replace(f"{project.folder}/", "")
        return Problem("unreadable", text, True, (record.name,))
    data = plane.finest
    shape = plane.shape[0], plane.shape[1]
    if labels.shape != shape:
        text = (
            f"{record.name} is {shape[0]} × {shape[1]} pixels, its mask {labels.shape[0]} × "
            f"{labels.shape[1]}; they must be of the same size."
        )
        return Problem("size", text, True, (record.name,))
    ignored = 0
    if ignore is not None:
        ignored = int(np.count_nonzero(labels == ignore))
        labels = np.where(labels == ignore, np.zeros((), labels.dtype), labels)
    background = bool((labels == 0).any())
    pixels, id_spans, spans = measure(labels)
    stored = int(data.shape[2]) if data.ndim == 3 else 1
    return ImageFacts(
        record.name,
        record.group,
        record.split,
        shape,
        str(np.dtype(data.dtype)),
        3 if plane.rgb else stored,
        plane.rgb,
        pixels,
        ignored,
        spans,
        id_spans,
        _digest(data),
        classless,
        _graded(labels, pixels),
        background,
        tuple(dict.fromkeys(besides)),
    )


def measure(
    labels: npt.NDArray[Any],
) -> tuple[dict[int, int], dict[int, int], tuple[tuple[int, int], ...]]:
    """Measure the ids of a label map (Y, X) and their connected parts; 0 is left out.

    Returns
    -------
    pixels : dict of int to int
        How many each id has.
    id_spans : dict of int to int
        The longer side of the box of each id.
    spans : tuple of (int, int)
        Id and longer side of the box of each connected part.
    """
    from skimage.measure import label

    if not labels.any():
        return {}, {}, ()
    ids, compact, counts = np.unique(labels, return_inverse=True, return_counts=True)
    compact = compact.reshape(labels.shape) + int(ids[0] != 0)
    ids, counts = (values[int(ids[0] == 0) :] for values in (ids, counts))
    sides = _sides(compact)
    parts = label(compact, background=0, connectivity=2)
    first = np.unique(parts, return_index=True)[1][-int(parts.max()) :]
    owners = ids[compact.ravel()[first] - 1]
    return (
        {int(i): int(n) for i, n in zip(ids, counts, strict=True)},
        {int(i): side for i, side in zip(ids, sides, strict=True)},
        tuple((int(i), side) for i, side in zip(owners, _sides(parts), strict=True)),
    )


def _graded(labels: npt.NDArray[Any], pixels: Mapping[int, int]) -> float:
    """Return the share of labelled pixels between a lower and a higher id, see `ImageFacts`."""
    if len(pixels) < _FEWEST_GRADES or min(labels.shape) < 3:
        return 0.0
    most = max(pixels, key=lambda i: pixels[i])
    looked_at = between = 0
    for lines in (labels, labels.T):
        middle, before, after = lines[1:-1], lines[:-2], lines[2:]
        counted = (middle != 0) & (middle != most)
        rising = (before < middle) & (middle < after)
        falling = (before > middle) & (middle > after)
        looked_at = max(looked_at, int(np.count_nonzero(counted)))
        between = max(between, int(np.count_nonzero(counted & (rising | falling))))
    return between / looked_at if looked_at else 0.0


def _sides(numbered: npt.NDArray[Any]) -> list[int]:
    """Return the longer side of the box of each region, numbered from 1 without gaps."""
    from scipy.ndimage import find_objects

    return [max(part.stop - part.start for part in box) for box in find_objects(numbered)]


def _digest(data: Any) -> str:
    if not isinstance(data, np.ndarray) or data.nbytes > _HASHED or isinstance(data, np.memmap):
        return ""
    digest = hashlib.blake2b(np.ascontiguousarray(data).data, digest_size=16)
    return f"{data.shape} {data.dtype} {digest.hexdigest()}"


def _scheme(images: Sequence[ImageFacts]) -> Literal["instances", "classes"]:
    """Guess what ids mean: many, or all in one piece and not the same everywhere, are objects."""
    ids = {i for image in images for i in image.pixels}
    whole = all(len(image.spans) == len(image.pixels) for image in images)
    differ = len({frozenset(image.pixels) for image in images if image.pixels}) > 1
    return "instances" if len(ids) > _FEW or (len(ids) > 2 and whole and differ) else "classes"
