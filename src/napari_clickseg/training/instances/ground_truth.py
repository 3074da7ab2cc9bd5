"""The ground truth of a project: its objects, their classes, what is complete, what is odd."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from napari_clickseg.data.inspection.summary import named, number
from napari_clickseg.data.object_masks import counts_as_complete, noted_classes
from napari_clickseg.data.sets.dataset import ClassMap
from napari_clickseg.training.loop.work import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_clickseg.data.inspection.facts import Findings
    from napari_clickseg.data.project import Record
    from napari_clickseg.training.spec import TrainingSpec

_OBJECT = "object"
_TINY = 4  # pixels, below which an object has no shape
_GAP = 32  # ids between the last object's and 255
_UNKNOWN = 255  # what many programs write where it is not known what a pixel is


@dataclass(frozen=True)
class GroundTruth:
    """What is learned of a project's objects.

    Parameters
    ----------
    classes : ClassMap
        Of the objects; one that takes all where their classes are not told apart.
    present : mapping of str to frozenset of int
        By an image's name, the classes, as indices, that it holds objects of.
    warnings : tuple of str
        What the user should know, a line each.
    """

    classes: ClassMap
    present: Mapping[str, frozenset[int]]
    warnings: tuple[str, ...]


def examine_ground_truth(
    records: Sequence[Record], findings: Findings, spec: TrainingSpec
) -> GroundTruth:
    """Find out what can be learned of a project's objects, and what it leaves open.

    Parameters
    ----------
    records : sequence of Record
        The images that can be used.
    spec : TrainingSpec
        Completed.

    Raises
    ------
    TrainingError
        If objects can't be learned from it.
    """
    by_class = spec.scheme == "classes"
    areas = _areas(findings)
    if areas and median(areas) < _TINY:
        raise TrainingError(
            f"Usual objects have {median(areas):g} pixels, and shapes that small can't be learned; "
            "see that ids are objects' (scheme), or enlarge the images."
        )
    held = {record.name: _classes_in(record, findings, by_class=by_class) for record in records}
    counts: dict[int, int] = {}
    for some in held.values():
        for one, n in some.items():
            counts[one] = counts.get(one, 0) + n
    classes = _class_map(counts, findings, spec)
    index = {i: k for k, ids in enumerate(classes.ids) for i in ids}
    present = {
        name: frozenset(index[i] for i in some if i in index)
        if index
        else frozenset({0} if some else ())
        for name, some in held.items()
    }
    warnings = [*_odd(findings, by_class=by_class), *_classless(held, classes, findings)]
    return GroundTruth(classes, present, (*warnings, *_assumed(records)))


def check_complete(records: Sequence[Record], *, assumed: bool = False) -> None:
    """See that somewhere in the images to train on it is known what is background.

    Parameters
    ----------
    assumed : bool
        Images of which nothing is said count as complete, however they were annotated.

    Raises
    ------
    TrainingError
        If none of them is complete.
    """
    silent = (record for record in records if assumed and record.complete is None)
    if not any(counts_as_complete(record) for record in records) and not any(silent):
        raise TrainingError(
            "No image to train on is complete, so nothing is known to be background; label every "
            "object of at least one, and say that it is complete (in Annotate or Train; complete: "
            "yes in index.csv)."
        )


def partly_annotated(records: Sequence[Record]) -> Iterator[str]:
    """Say which images are learned in part, and which as a whole though nobody said it.

    It is about tasks that learn what is anywhere in an image, but not each object as its own: where
    nothing is said, clicked masks count as complete, as they did before anything could be said.
    """
    partly = [record.name for record in records if record.complete is False]
    silent = [one for one in records if one.complete is None and not counts_as_complete(one)]
    if partly:
        yield (
            f"{number(len(partly), 'image is', 'images are')} not complete ({named(partly)}), so "
            "what is not labelled there counts as unknown, not as background."
        )
    if silent:
        names = [record.name for record in silent]
        yield (
            f"{number(len(names), 'image was', 'images were')} annotated by clicks "
            f"({named(names)}) and {'counts' if len(names) == 1 else 'count'} as complete: what is "
            "not labelled is background. Where something is missing, say that the image is not "
            "complete (in Annotate or Train; complete: no in index.csv)."
        )


def _areas(findings: Findings) -> list[int]:
    return sorted(n for image in findings.images for n in image.pixels.values())


def _classes_in(record: Record, findings: Findings, *, by_class: bool) -> dict[int, int]:
    """Return how many objects of each class an image holds; 0 stands for none."""
    image = next((one for one in findings.images if one.name == record.name), None)
    ids = image.pixels if image is not None else {}
    if by_class:
        return dict.fromkeys(ids, 1)
    known = noted_classes(record)
    counts: dict[int, int] = {}
    for one in ids:
        of = known.get(one, 0)
        counts[of] = counts.get(of, 0) + 1
    return counts


def _class_map(counts: Mapping[int, int], findings: Findings, spec: TrainingSpec) -> ClassMap:
    """Return the classes that are told apart: those asked for, else all that objects have."""
    ignore = findings.classes.ignore if findings.classes is not None else None
    used = sorted(one for one in counts if one)
    unknown = sorted(set(spec.classes) - set(used))
    if unknown:
        there = f"choose of {', '.join(map(str, used[:12]))}" if used else "no object has a class"
        raise TrainingError(f"classes: no object is of class {unknown[0]}; {there}.")
    chosen = spec.classes or (tuple(used) if len(used) > 1 else ())
    if chosen:
        names = tuple(findings.class_name(one) for one in chosen)
        return ClassMap(tuple((one,) for one in chosen), names, ignore)
    alone = used[0] if len(used) == 1 and not counts.get(0) else 0
    return ClassMap(((),), (findings.class_name(alone) if alone else _OBJECT,), ignore)


def _odd(findings: Findings, *, by_class: bool) -> Iterator[str]:
    """Say what may be wrong with the masks."""
    if by_class:
        yield (
            "Ids are classes, so each connected piece of one counts as an object, and objects that "
            "touch are learned as one; if each object has an id of its own, set scheme=instances."
        )
        return
    tiny = [one.name for one in findings.images if min(one.pixels.values(), default=_TINY) < _TINY]
    if tiny:
        count = sum(n < _TINY for n in _areas(findings))
        yield (
            f"{number(count, 'object has', 'objects have')} fewer than {_TINY} pixels "
            f"({named(tiny)}): too small to be learned; remove them if they are stray pixels."
        )
    held = [image for image in findings.images if image.pixels]
    if held and all(len(image.pixels) == 1 for image in held):
        yield (
            f"{named([image.name for image in held])} {'holds' if len(held) == 1 else 'hold'} one "
            "object each, so how objects that touch are told apart is not learned; if ids are "
            "classes, set scheme=classes."
        )
    strange = [image.name for image in findings.images if _far_from_others(image.pixels)]
    if strange and (findings.classes is None or findings.classes.ignore is None):
        yield (
            f"In {named(strange)} the id 255 stands alone, and is learned as an object; if it "
            'means unknown, write "ignore": 255 into classes.json.'
        )


def _far_from_others(ids: Mapping[int, int]) -> bool:
    """Whether there is an id 255 beyond all others, which number objects."""
    others = [one for one in ids if one != _UNKNOWN]
    return _UNKNOWN in ids and bool(others) and max(others) < _UNKNOWN - _GAP


def _classless(
    held: Mapping[str, Mapping[int, int]], classes: ClassMap, findings: Findings
) -> Iterator[str]:
    """Say of which classes there are no objects, and which objects have no class."""
    if classes.ids == ((),):
        return
    without = [name for name, some in held.items() if some.get(0)]
    if without:
        count = sum(some.get(0, 0) for some in held.values())
        yield (
            f"{number(count, 'object has', 'objects have')} no class ({named(without)}): they are "
            "learned as objects whose class is unknown; give them one in Annotate."
        )
    used = {one for some in held.values() for one in some}
    every = findings.classes.classes if findings.classes is not None else ()
    absent = [one.name for one in every if one.id not in used]
    if absent and findings.scheme == "instances":
        yield f"Of {named(absent)} no object is labelled, so it can't be learned."


def _assumed(records: Sequence[Record]) -> Iterator[str]:
    """Say what is taken for background where the project does not."""
    silent = [record for record in records if record.complete is None]
    whole = [record.name for record in silent if counts_as_complete(record)]
    partly = [record.name for record in silent if not counts_as_complete(record)]
    if whole:
        yield (
            f"{number(len(whole), 'image came', 'images came')} without clicks ({named(whole)}) "
            f"and {'counts' if len(whole) == 1 else 'count'} as complete: what is not labelled is "
            "background. Where objects are missing, say that the image is not complete (in "
            "Annotate or Train; complete: no in index.csv)."
        )
    if partly:
        yield (
            f"{number(len(partly), 'image was', 'images were')} annotated by clicks "
            f"({named(partly)}), so what is not labelled counts as unknown, not as background. "
            "Where every object is labelled, say that the image is complete (in Annotate or Train; "
            "complete: yes in index.csv)."
        )
