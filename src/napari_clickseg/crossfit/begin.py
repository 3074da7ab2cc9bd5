"""The beginning of a cross-fitting: look through the project, complete the spec, cut the folds."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clickseg.core.source import ImageSource
from napari_clickseg.crossfit.folder import CrossfitFolder, FoldRow
from napari_clickseg.crossfit.spec import CrossfitError
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.index import INDEX
from napari_clickseg.data.inspection.findings import inspect_project
from napari_clickseg.data.project import read_project
from napari_clickseg.data.sets.derived import write_derived
from napari_clickseg.data.sets.splits import SplitError, folds, single_split
from napari_clickseg.training.defaults import completed
from napari_clickseg.training.prepare import check_findings
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_clickseg.crossfit.spec import CrossfitSpec
    from napari_clickseg.data.inspection.facts import Findings
    from napari_clickseg.data.project import Project, Record
    from napari_clickseg.training.spec import TrainingSpec

_FEWEST = 3  # images: one to find errors in, one to train on, one to choose the best epoch by


@dataclass(frozen=True, slots=True)
class Plan:
    """What a cross-fitting will do.

    Parameters
    ----------
    spec : CrossfitSpec
        Completed.
    rows : tuple of FoldRow
        Which fold each image is in.
    said : tuple of str
        What the user should know, a line each.
    """

    spec: CrossfitSpec
    rows: tuple[FoldRow, ...]
    said: tuple[str, ...]


def plan(spec: CrossfitSpec, project: Project, findings: Findings) -> Plan:
    """Complete a spec from the data and cut the folds; nothing is written.

    Parameters
    ----------
    spec : CrossfitSpec
        What is left open is chosen from the data.
    project : Project
        Its images, but those for testing, are cut into folds.
    findings : Findings
        What was found in it.

    Raises
    ------
    CrossfitError, TrainingError, SplitError
        If it can't be begun; the message says why.
    """
    skipped = check_findings(findings, spec.training)
    records = [r for r in project.records if r.split != "test" and r.name not in skipped]
    training = _completed(spec.training, findings)
    if training.encoding == "colour":
        _check_monochrome(records)
    said = [problem.text for problem in findings.warnings]
    if skipped:
        said.append(f"Left out, since they can't be read: {', '.join(skipped)}.")
    rows, more = _rows(records, spec, training, findings)
    spec = spec.model_copy(update={"training": training})
    return Plan(spec, tuple(rows), tuple(said + more))


def begin(
    spec: CrossfitSpec, folder: CrossfitFolder, findings: Findings | None = None
) -> list[str]:
    """Make the folder of a new cross-fitting.

    Parameters
    ----------
    spec : CrossfitSpec
        What is left open is chosen from the data.
    folder : CrossfitFolder
        Must not hold one yet.
    findings : Findings, optional
        What was found in the project, where that is known already.

    Returns
    -------
    list of str
        What the user should know, a line each.

    Raises
    ------
    CrossfitError, ProjectError, TrainingError, SplitError
        If it can't be begun; the message says why.
    """
    _check_free(folder)
    source = Path(spec.training.project).resolve()
    project = read_project(source)
    findings = findings or inspect_project(project)
    made = plan(spec, project, findings)
    training = made.spec.training.changed(project=str(source))
    said = list(made.said)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.write_rows(folder.path / "folds.csv", made.rows)
        held, more = _held(made.rows, project, training, findings)
        said += more
        _write_folds(folder, made.rows, project, held)
        spec = spec.model_copy(update={"training": training})
        folder.write(folder.path / "spec.json", spec.to_json())  # last: now it is one
    except OSError as error:
        raise CrossfitError(
            f"Nothing can be written to {folder.path} ({error.strerror or error}); choose another "
            "folder."
        ) from error
    return list(dict.fromkeys(said))


def begin_from(
    other: CrossfitFolder, spec: CrossfitSpec, folder: CrossfitFolder, *, check: bool = True
) -> None:
    """Make the folder of a cross-fitting that begins with the baselines of another one.

    Parameters
    ----------
    other : CrossfitFolder
        All of its baselines and predictions are there.
    spec : CrossfitSpec
        The other's, with changes.
    folder : CrossfitFolder
        Must not hold one yet.
    check : bool
        Refuse folds without predictions.

    Raises
    ------
    CrossfitError
        If the other one has not come so far, or the folder is used already.
    """
    _check_free(folder)
    rows = other.rows
    missing = [row for row in rows if not (other.predictions / row.prediction).exists()]
    if missing and check:
        raise CrossfitError(
            f"{other.path} has no prediction of {missing[0].image} yet; go on with it first."
        )
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.write_rows(folder.path / "folds.csv", rows)
    shutil.copytree(other.predictions, folder.predictions, dirs_exist_ok=True)
    there = [fold for fold in other.folds if other.run(fold, "baseline").path.exists()]
    for fold in there:  # all of them, unless some failed and that is not checked
        shutil.copytree(other.run(fold, "baseline").path, folder.run(fold, "baseline").path)
    # Networks that share images must share the choice of those that they are judged by.
    held = {
        fold: {
            record.image.resolve()
            for record in read_project(other.fold(fold) / INDEX).records
            if record.split == "validation"
        }
        for fold in other.folds
    }
    _write_folds(folder, rows, read_project(Path(spec.training.project)), held)
    folder.write(folder.path / "spec.json", spec.to_json())


def _check_free(folder: CrossfitFolder) -> None:
    if folder.exists:
        raise CrossfitError(
            f"{folder.path} holds a cross-fitting already; go on with it (--resume), or choose "
            "another folder."
        )
    if folder.path.is_file():
        raise CrossfitError(f"{folder.path} is a file; choose another folder.")


def _completed(spec: TrainingSpec, findings: Findings) -> TrainingSpec:
    """Choose from the data what is left open; there is one thing to find, without clicks."""
    if spec.task != "click":
        raise CrossfitError(
            f"task: cross-fitting trains click models, not {spec.task}; leave it out."
        )
    whole_spec = completed(spec, findings)
    if whole_spec.scheme == "instances":
        return whole_spec.changed(whole=True)
    if spec.whole:
        return whole_spec.changed(classes=spec.classes)  # a fold need not have all of them
    if len(whole_spec.classes) > 1:
        names = ", ".join(f"{i} ({findings.class_name(i)})" for i in whole_spec.classes[:8])
        raise CrossfitError(
            f"classes: the masks have several ({names}); say which one is found, as in "
            f"classes=[{whole_spec.classes[0]}], or whole=true for all of them together."
        )
    return whole_spec


def _check_monochrome(records: Sequence[Record]) -> None:
    """Refuse colours: the colour encoding puts clicks where they would be."""
    for record in records:
        plane = read_plane(record.image)
        source = ImageSource(plane.data, rgb=plane.rgb)
        if source.channels != 1 and not source.is_grey():
            raise CrossfitError(
                f"encoding: {record.name} is not monochrome, and clicks are drawn as colours; "
                "choose encoding=channels, or give images of one channel."
            )


def _rows(
    records: Sequence[Record], spec: CrossfitSpec, training: TrainingSpec, findings: Findings
) -> tuple[list[FoldRow], list[str]]:
    """Cut into folds; return them, and what to say about it."""
    if len(records) < _FEWEST:
        raise CrossfitError(
            f"Cross-fitting needs {_FEWEST} annotated images or more, not {len(records)}; "
            "annotate some."
        )
    groups = [record.group for record in records]
    if training.split_by == "image":
        groups = [record.name for record in records]
    there = _labelled(records, findings, training)
    cut = folds(groups, spec.folds, seed=training.seed, classes=there)
    said = []
    if len(cut) < spec.folds:
        said.append(
            f"The images are of {counted(len(set(groups)), 'group')}, so there are {len(cut)} "
            f"folds instead of {spec.folds}."
        )
    if cut[0].leaks or (
        training.split_by == "image" and len({r.group for r in records}) < len(records)
    ):
        said.append("Images of one group are in different folds, so the figures flatter.")
    stems = Counter(record.image.stem for record in records)
    number = {i: k for k, split in enumerate(cut, 1) for i in split.validation}
    rows = [
        FoldRow(r.name, r.group, number[i], _prediction(r, i, stems)) for i, r in enumerate(records)
    ]
    return rows, said


def _prediction(record: Record, index: int, stems: Counter[str]) -> str:
    stem = record.image.stem
    return f"{stem}.tif" if stems[stem] == 1 else f"{stem}-{index + 1}.tif"


def _held(
    rows: Sequence[FoldRow], project: Project, training: TrainingSpec, findings: Findings
) -> tuple[dict[int, set[Path]], list[str]]:
    """Choose the images that each fold's best epoch is chosen by; return what to say about it."""
    records = {record.name: record for record in project.records}
    held: dict[int, set[Path]] = {}
    said = []
    for fold in sorted({row.fold for row in rows}):
        some = [records[row.image] for row in rows if row.fold != fold]
        groups = [record.group for record in some]
        if training.split_by == "image":
            groups = [record.name for record in some]
        try:
            split = single_split(
                groups,
                share=training.validation_share,
                seed=training.seed,
                classes=_labelled(some, findings, training),
            )
        except SplitError:
            held[fold] = set()  # its training will say so, and the others go on
            continue
        held[fold] = {some[i].image.resolve() for i in split.validation}
        if len(set(groups)) == 1:
            said.append(
                f"Fold {fold} has one group to train on, so its best epoch is chosen by images "
                "of that group."
            )
    return held, said


def _labelled(
    records: Sequence[Record], findings: Findings, training: TrainingSpec
) -> list[frozenset[int]]:
    """Return of each image whether what is to be found is in it: {0}, or nothing."""
    wanted = set(training.classes)
    there = {
        image.name
        for image in findings.images
        if (image.pixels.keys() & wanted if wanted else image.pixels)
    }
    return [frozenset({0} if record.name in there else ()) for record in records]


def _write_folds(
    folder: CrossfitFolder, rows: Sequence[FoldRow], project: Project, held: dict[int, set[Path]]
) -> None:
    """Write a table of what each fold's models are trained on."""
    records = {record.name: record for record in project.records}
    for fold, images in held.items():
        some = [records[row.image] for row in rows if row.fold != fold]
        validated = [record.image.resolve() in images for record in some]
        splits = ["validation" if held_out else "training" for held_out in validated]
        write_derived(folder.fold(fold), project, some, splits)
