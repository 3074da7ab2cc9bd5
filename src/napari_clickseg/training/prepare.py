"""From a spec to the images that are learned from, those that are validated on, and the task."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clickseg.data.inspection.checks import nothing_labelled
from napari_clickseg.data.inspection.findings import inspect_project
from napari_clickseg.data.object_classes import by_classes
from napari_clickseg.data.project import read_project
from napari_clickseg.data.sets.dataset import ClassMap, Dataset
from napari_clickseg.data.sets.splits import Split, folds, single_split
from napari_clickseg.training import defaults
from napari_clickseg.training.instances.ground_truth import (
    check_complete,
    examine_ground_truth,
    partly_annotated,
)
from napari_clickseg.training.loop.work import TrainingError
from napari_clickseg.training.run_folder import Sets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_clickseg.data.inspection.facts import Findings, Problem
    from napari_clickseg.data.project import Project, Record
    from napari_clickseg.data.sets.dataset import Sample
    from napari_clickseg.training.spec import TrainingSpec

_UNREADABLE = ("unreadable", "size")
_OBJECT, _FOREGROUND = "object", "foreground"
_LEAK = "Images of one group are both trained on and validated on, so the figures flatter."
_WITHOUT = {"train": "it can't be learned", "validate": "its figures say nothing"}


@dataclass(frozen=True)
class Prepared:
    """All that a training needs but the network.

    Parameters
    ----------
    spec : TrainingSpec
        Completed.
    zoom : float
        Network pixels for an image pixel where no click says where to look.
    warnings : tuple of str
        What the user should know, a line each.
    sets : Sets
        What a run keeps, to be resumed with the same images.
    """

    spec: TrainingSpec
    findings: Findings
    training: Dataset[Sample]
    validation: Dataset[Sample]
    classes: ClassMap
    zoom: float
    warnings: tuple[str, ...]
    sets: Sets


def prepare(
    spec: TrainingSpec,
    progress: Callable[[int, int], object] | None = None,
    began: Sets | None = None,
) -> Prepared:
    """Look through the project, complete the spec, and choose what is validated on.

    Parameters
    ----------
    spec : TrainingSpec
        As the user left it.
    progress : callable, optional
        Called with the number of images that were looked at, and how many there are.
    began : Sets, optional
        The images that a resumed run began with: what was added since is left aside.

    Raises
    ------
    ProjectError
        If there is no such project.
    TrainingError
        If it can't be trained on.
    SplitError
        If there are not enough images to validate on some.
    """
    project = project_for(spec)
    if began is not None:
        return _again(spec, project, began, progress)
    findings = inspect_project(project, progress)
    skipped = check_findings(findings, spec)
    completed = defaults.completed(spec, findings)
    records = _usable(project, findings, skipped)
    classes, there, said = _learned(records, findings, completed)
    training, validation = _sides(records, completed, there)
    _check_background(training, findings, completed)
    warnings = (*_warnings(findings, completed, skipped), *said)
    for what, some in (("train", training), ("validate", validation)):
        warnings += _left_out(what, some, there, classes)
    zoom = defaults.zoom(completed, findings)
    sides = training, validation
    return _prepared(completed, findings, classes, project, sides, zoom, warnings)


def check_ground_truth(project: Project, findings: Findings, spec: TrainingSpec) -> tuple[str, ...]:
    """Check before a training that the objects of a project can be learned, each as its own.

    Parameters
    ----------
    spec : TrainingSpec
        As the user left it; its task is instances.

    Returns
    -------
    tuple of str
        What is assumed, and what may be wrong, a line each.

    Raises
    ------
    TrainingError, SplitError
        As `prepare` raises them.
    """
    skipped = tuple(name for problem in _unreadable(findings) for name in problem.names)
    records = _usable(project, findings, skipped)
    completed = defaults.completed(spec, findings)
    _, there, said = _learned(records, findings, completed)
    _sides(records, completed, there)
    return said


def project_for(spec: TrainingSpec) -> Project:
    """Read a spec's project as its task needs it.

    Where classes are to be told apart and the masks hold objects, the classes of the objects are
    what is learned.

    Raises
    ------
    ProjectError
        If there is no such project, or a file of clicks can't be read.
    """
    project = read_project(Path(spec.project))
    by_object = spec.task in ("click", "instances") or spec.scheme == "instances"
    return project if by_object else by_classes(project)


def _again(
    spec: TrainingSpec,
    project: Project,
    began: Sets,
    progress: Callable[[int, int], object] | None,
) -> Prepared:
    """Take up the images that a run began with.

    They are known by their names, or, where a table of them was moved, by their files.
    """
    named_so = {record.name: record for record in project.records}
    lying_there = {os.path.abspath(record.image): record for record in project.records}

    def find(name: str) -> Record:
        at = os.path.abspath(os.path.join(began.folder, name))
        record = named_so.get(name) or lying_there.get(at)
        if record is None:
            raise TrainingError(
                f"The run began with {name}, which is not an annotated image of {spec.project} any "
                "more; put it back, or start another run."
            )
        return record

    training, validation = [find(n) for n in began.training], [find(n) for n in began.validation]
    records = tuple(dict.fromkeys((*training, *validation)))
    findings = inspect_project(replace(project, records=records), progress)
    broken = _unreadable(findings)
    if broken:
        raise TrainingError(f"{broken[0].text} The run began with it: mend it, or start another.")
    completed = defaults.completed(spec, findings)
    classes, _, _ = _learned(records, findings, completed)
    sides = training, validation
    return _prepared(completed, findings, classes, project, sides, began.zoom, ())


def _prepared(
    spec: TrainingSpec,
    findings: Findings,
    classes: ClassMap,
    project: Project,
    sides: tuple[Sequence[Record], Sequence[Record]],
    zoom: float,
    warnings: tuple[str, ...],
) -> Prepared:
    share = spec.cache_mib / max(1, len({record.name for side in sides for record in side}))
    training, validation = (Dataset(side, round(share * len(side))) for side in sides)
    learned, held = (tuple(record.name for record in side) for side in sides)
    sets = Sets(os.path.abspath(project.folder), learned, held, zoom)
    if spec.task == "instances" and len(classes.ids) > 1:  # a resumed run learns the same ones
        spec = spec.model_copy(update={"classes": tuple(i for ids in classes.ids for i in ids)})
    return Prepared(spec, findings, training, validation, classes, zoom, warnings, sets)


def check_findings(findings: Findings, spec: TrainingSpec) -> tuple[str, ...]:
    """Refuse what can't be trained on; return the names of images that are left out."""
    broken = _unreadable(findings)
    stopping = [p for p in findings.stopping(spec.task, spec.classes) if p not in broken]
    if broken and spec.corrupt == "refuse":
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise TrainingError(f"{broken[0].text}{more} Mend it, or leave it out: corrupt=skip.")
    if stopping:
        raise TrainingError(stopping[0].text)
    unknown = sorted(set(spec.classes) - set(findings.ids))
    if unknown and spec.task != "instances":
        there = ", ".join(str(i) for i in findings.ids[:12])
        raise TrainingError(
            f"classes: there is no id {unknown[0]} in the masks; choose of {there}."
        )
    return tuple(name for problem in broken for name in problem.names)


def _unreadable(findings: Findings) -> tuple[Problem, ...]:
    return tuple(problem for problem in findings.problems if problem.kind in _UNREADABLE)


def _usable(project: Project, findings: Findings, skipped: Sequence[str]) -> list[Record]:
    """Return the images that are learned from or validated on."""
    known = {image.name for image in findings.images} - set(skipped)
    return [r for r in project.records if r.name in known and r.split != "test"]


def _sides(
    records: Sequence[Record], spec: TrainingSpec, there: Mapping[str, frozenset[int]]
) -> tuple[list[Record], list[Record]]:
    """Return the images that are learned from, and those that are validated on."""
    split = _split(records, spec, [there[record.name] for record in records])
    training = list(records) if spec.learn_all else [records[i] for i in split.training]
    if spec.task == "instances":
        check_complete(training)
    return training, [records[i] for i in split.validation]


def _learned(
    records: Sequence[Record], findings: Findings, spec: TrainingSpec
) -> tuple[ClassMap, Mapping[str, frozenset[int]], tuple[str, ...]]:
    """Return what is learned, which classes, as indices, each image has, and what to warn of."""
    if spec.task == "instances":
        truth = examine_ground_truth(records, findings, spec)
        return truth.classes, truth.present, truth.warnings
    classes = _classes(spec, findings)
    said = tuple(partly_annotated(records)) if defaults.automatic(spec) else ()
    return classes, _there(findings, classes), said


def _check_background(records: Sequence[Record], findings: Findings, spec: TrainingSpec) -> None:
    """See that something is known not to be of the class that is learned, where it is one alone.

    Raises
    ------
    TrainingError
        If nothing is.
    """
    several = spec.scheme == "classes" and len(findings.ids) > 1
    if spec.task != "instances" and defaults.automatic(spec) and not several:
        check_complete(records, assumed=True)


def _there(findings: Findings, classes: ClassMap) -> dict[str, frozenset[int]]:
    """Return by name which classes, as indices, an image has."""

    def has(pixels: Mapping[int, int], ids: tuple[int, ...]) -> bool:
        return any(i in pixels for i in ids) if ids else bool(pixels)

    return {
        image.name: frozenset(k for k, ids in enumerate(classes.ids) if has(image.pixels, ids))
        for image in findings.images
    }


def _left_out(
    what: str, records: Sequence[Record], there: Mapping[str, frozenset[int]], classes: ClassMap
) -> tuple[str, ...]:
    """Refuse a side without anything to be found; say of which classes it has nothing."""
    ids = {k for record in records for k in there[record.name]}
    if not ids:
        raise TrainingError(nothing_labelled(what, [record.name for record in records]))
    missing = [name for k, name in enumerate(classes.names) if k not in ids]
    return tuple(
        f"The class {name} is not in the images to {what} on, so {_WITHOUT[what]}."
        for name in missing
    )


def _split(records: Sequence[Record], spec: TrainingSpec, there: Sequence[frozenset[int]]) -> Split:
    """Choose what is validated on: as the project says, else by group, with all classes."""
    held = [i for i, record in enumerate(records) if record.split == "validation"]
    if held:
        rest = [i for i in range(len(records)) if i not in set(held)]
        if not rest:
            raise TrainingError("All images are to be validated on; leave some for training.")
        leaks = bool({records[i].group for i in held} & {records[i].group for i in rest})
        return Split(tuple(rest), tuple(held), leaks)
    groups = [record.group for record in records]
    if spec.split_by == "image":
        groups = [record.name for record in records]
    if spec.folds:
        cut = folds(groups, spec.folds, seed=spec.seed, classes=there)
        if spec.fold >= len(cut):
            raise TrainingError(f"fold: there are {len(cut)} folds; choose 0 to {len(cut) - 1}.")
        return cut[spec.fold]
    return single_split(groups, share=spec.validation_share, seed=spec.seed, classes=there)


def _classes(spec: TrainingSpec, findings: Findings) -> ClassMap:
    ignore = findings.classes.ignore if findings.classes is not None else None
    by_class = spec.scheme == "classes"
    if by_class and spec.task in ("multiclass", "multilabel"):
        names = tuple(findings.class_name(i) for i in spec.classes)
        return ClassMap(tuple((i,) for i in spec.classes), names, ignore)
    if by_class and spec.task == "click" and len(spec.classes) > 1:
        return ClassMap((spec.classes,), (_OBJECT,), ignore)
    one = by_class and len(spec.classes) == 1
    name = findings.class_name(spec.classes[0]) if one else _FOREGROUND
    return ClassMap((spec.classes,), (_OBJECT if spec.task == "click" else name,), ignore)


def leak(findings: Findings, spec: TrainingSpec) -> tuple[str, ...]:
    """Return what to warn of where a split by image parts images of one group.

    Where there is one group only, or the project itself parts groups, the findings say so.
    """
    images = [image for image in findings.images if image.split != "test"]
    chosen = any(image.split == "validation" for image in images)
    groups = {image.group for image in images}
    apart = spec.split_by == "image" or len(groups) == 1
    told = chosen or len(findings.groups) == 1
    return (_LEAK,) if apart and not told and len(groups) < len(images) else ()


def one_class(findings: Findings, spec: TrainingSpec) -> tuple[str, ...]:
    """Return what to say where classes were asked for, but the masks tell none apart."""
    scheme = findings.scheme if spec.scheme == "auto" else spec.scheme
    if spec.task not in ("multiclass", "multilabel") or scheme == "classes":
        return ()
    return (
        "All objects are learned as one class: their ids are objects', and no object has a class. "
        "Give objects classes in Annotate; or, if ids are classes, set scheme=classes.",
    )


def _warnings(findings: Findings, spec: TrainingSpec, skipped: Sequence[str]) -> tuple[str, ...]:
    out = [problem.text for problem in findings.warnings]
    if skipped:
        out.append(f"Left out, since they can't be read: {', '.join(skipped)}.")
    return tuple(dict.fromkeys([*out, *leak(findings, spec), *one_class(findings, spec)]))
