"""From a spec to the images that are learned from, those that are validated on, and the task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clickseg.data.dataset import ClassMap, Dataset
from napari_clickseg.data.findings import inspect_project
from napari_clickseg.data.project import read_project
from napari_clickseg.data.splits import Split, folds, single_split
from napari_clickseg.training import defaults
from napari_clickseg.training.work import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_clickseg.data.facts import Findings
    from napari_clickseg.data.project import Record
    from napari_clickseg.training.spec import TrainingSpec

__all__ = ["Prepared", "check_findings", "prepare"]

_UNREADABLE = ("unreadable", "size")
_OBJECT, _FOREGROUND = "object", "foreground"


@dataclass(frozen=True)
class Prepared:
    """All that a training needs but the network.

    Parameters
    ----------
    spec : TrainingSpec
        Completed.
    findings : Findings
    training, validation : Dataset
    classes : ClassMap
    zoom : float
        Network pixels for an image pixel where no click says where to look.
    warnings : tuple of str
        What the user should know, a line each.
    """

    spec: TrainingSpec
    findings: Findings
    training: Dataset
    validation: Dataset
    classes: ClassMap
    zoom: float
    warnings: tuple[str, ...]


def prepare(spec: TrainingSpec, progress: Callable[[int, int], object] | None = None) -> Prepared:
    """Look through the project, complete the spec, and choose what is validated on.

    Parameters
    ----------
    spec : TrainingSpec
        As the user left it.
    progress : callable, optional
        Called with the number of images that were looked at, and how many there are.

    Raises
    ------
    ProjectError
        If there is no such project.
    TrainingError
        If it can't be trained on.
    SplitError
        If there are not enough images to validate on some.
    """
    project = read_project(Path(spec.project))
    findings = inspect_project(project, progress)
    skipped = check_findings(findings, spec)
    completed = spec.completed(findings)
    known = {image.name for image in findings.images} - set(skipped)
    records = [r for r in project.records if r.name in known and r.split != "test"]
    split = _split(records, completed)
    classes = _classes(completed, findings)
    share = completed.cache_mib / max(1, len(records))
    training = records if completed.learn_all else [records[i] for i in split.training]
    validation = [records[i] for i in split.validation]
    return Prepared(
        completed,
        findings,
        Dataset(training, round(share * len(training))),
        Dataset(validation, round(share * len(validation))),
        classes,
        defaults.zoom(completed, findings),
        _warnings(findings, completed, split, skipped),
    )


def check_findings(findings: Findings, spec: TrainingSpec) -> tuple[str, ...]:
    """Refuse what can't be trained on; return the names of images that are left out."""
    broken = tuple(p for p in findings.problems if p.kind in _UNREADABLE)
    stopping = [p for p in findings.stopping(spec.task) if p not in broken]
    if broken and spec.corrupt == "refuse":
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise TrainingError(f"{broken[0].text}{more} Mend it, or leave it out: corrupt=skip.")
    if stopping:
        raise TrainingError(stopping[0].text)
    unknown = sorted(set(spec.classes) - set(findings.ids))
    if unknown:
        there = ", ".join(str(i) for i in findings.ids[:12])
        raise TrainingError(
            f"classes: there is no id {unknown[0]} in the masks; choose of {there}."
        )
    return tuple(name for problem in broken for name in problem.names)


def _split(records: Sequence[Record], spec: TrainingSpec) -> Split:
    """Choose what is validated on: as the project says, else by group."""
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
        cut = folds(groups, spec.folds, seed=spec.seed)
        if spec.fold >= len(cut):
            raise TrainingError(f"fold: there are {len(cut)} folds; choose 0 to {len(cut) - 1}.")
        return cut[spec.fold]
    return single_split(groups, share=spec.validation_share, seed=spec.seed)


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


def _warnings(
    findings: Findings, spec: TrainingSpec, split: Split, skipped: Sequence[str]
) -> tuple[str, ...]:
    out = [problem.text for problem in findings.warnings]
    if skipped:
        out.append(f"Left out, since they can't be read: {', '.join(skipped)}.")
    grouped = len(findings.groups) < len(findings.images)
    if split.leaks or (spec.split_by == "image" and grouped):
        out.append(
            "Images of one group are both trained on and validated on, so the figures flatter."
        )
    return tuple(dict.fromkeys(out))
