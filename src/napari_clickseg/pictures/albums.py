"""What is to be drawn: the images of a project or a run, each with its truth and what was found."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_clickseg.data.images import read_single_plane
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.object_classes import by_classes, read_mask
from napari_clickseg.data.project import Record, is_project, read_project
from napari_clickseg.data.review import is_there
from napari_clickseg.data.review_table import REJECTED, TABLE, read_reviews
from napari_clickseg.models.checkpoint import read_card
from napari_clickseg.models.registry import find_model
from napari_clickseg.pictures.pictured_image import PicturedImage, PredictedLabels
from napari_clickseg.training.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from napari_clickseg.data.project import Project, Unannotated

    Entry = Record | Unannotated
    Find = Callable[[PicturedImage], PredictedLabels | None]


class PicturesError(ValueError):
    """Pictures that can't be made; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Album:
    """The images that are to be drawn.

    Parameters
    ----------
    predictor : str
        What predicted what is drawn, in words.
    entries : tuple of Record or Unannotated
        In the project's order.
    find : callable
        Takes a `PicturedImage`, returns its `PredictedLabels`; None where there is none.
    by_class, by_object : bool
        Ids are classes; each object has one of its own.
    ignored : int, optional
        Id of pixels that count neither way.
    kept : tuple of int
        The ids that were to be found; none: all.
    grouped : frozenset of str
        Groups of several images.
    """

    title: str
    predictor: str
    entries: tuple[Entry, ...]
    find: Find
    by_class: bool = False
    by_object: bool = False
    ignored: int | None = None
    kept: tuple[int, ...] = ()
    grouped: frozenset[str] = field(default=frozenset())

    def subject(self, entry: Entry) -> PicturedImage:
        """Read an image and its truth.

        Raises
        ------
        ImageError
            If one of them can't be read.
        """
        plane = read_single_plane(entry.image)
        if not isinstance(entry, Record):
            return PicturedImage(entry.name, entry.group, plane)
        truth = read_mask(entry)
        ignore = None if self.ignored is None else np.asarray(truth == self.ignored)
        if self.kept:
            truth = np.where(np.isin(truth, self.kept), truth, 0)
        if ignore is not None:
            truth = np.where(ignore, 0, truth)
        if entry.complete is False:  # what is not labelled may well be an object
            bare = np.asarray(truth == 0)
            ignore = bare if ignore is None else ignore | bare
        return PicturedImage(entry.name, entry.group, plane, truth, ignore)


def album_of(
    source: Path | str,
    *,
    model: str = "",
    device: str = "auto",
    clicks: int = 3,
    limit: int = 0,
) -> Album:
    """Find out what is to be drawn of a project, or of a run.

    Of a run these are its validation images, and what its model finds in them. Of a project these
    are its predictions, or with a model what that finds: in the annotated images, and in the others
    too if it needs no click.

    Parameters
    ----------
    source : Path or str
        Folder, or a project's table.
    model : str
        Name or file; empty: the run's, or the project's predictions.
    device : str
        As for `load_segmenter`.
    clicks : int
        On each object, of a model that needs some; a simulated annotator makes them.
    limit : int
        The most images, spread over all there are; 0 takes all.

    Raises
    ------
    PicturesError
        If nothing can be drawn.
    ProjectError, RunError, ModelFileError, DeviceError
        If something can't be read or used.
    """
    path = Path(source)
    if (path / "spec.json").is_file() and not is_project(path):
        album = _of_run(path, model, device, clicks)
    else:
        project = read_project(path)
        album = _of_model(project, model, device, clicks) if model else _of_predictions(project)
    if limit and len(album.entries) > limit:
        at = np.linspace(0, len(album.entries) - 1, limit).round().astype(int)
        album = replace(album, entries=tuple(album.entries[i] for i in at))
    return replace(album, grouped=_grouped(album.entries))


def _of_run(path: Path, model: str, device: str, clicks: int) -> Album:
    from napari_clickseg.pictures.predictions import predicting_with  # torch
    from napari_clickseg.training.prepare import project_for

    run = RunFolder(path)
    spec, sets = run.spec, run.sets
    if not model and not run.model.is_file():
        raise PicturesError(f"{path} has no model yet; wait for its first epoch.")
    project = project_for(spec)
    wanted: Collection[str] = () if sets is None else sets.validation
    records = tuple(one for one in project.records if one.name in wanted)
    if not records:
        raise PicturesError(
            f"None of the images that {path.name} was validated on is in {project.folder} any "
            "more; give the project and --model."
        )
    told = model or f"the model of {path.name}"
    entry = find_model(model or str(run.model))
    card = read_card(entry.path)
    classes = spec.task in ("multiclass", "multilabel")
    find = predicting_with(str(entry.path), device, clicks, by_class=classes)
    return Album(
        f"{spec.name}: its validation images",
        _predictor(told, card.automatic, clicks),
        records,
        find,
        by_class=classes,
        by_object=spec.task in ("click", "instances") and not _class_ids(project),
        ignored=_ignored(project),
        kept=tuple(spec.classes),
    )


def _of_model(project: Project, model: str, device: str, clicks: int) -> Album:
    from napari_clickseg.pictures.predictions import predicting_with  # torch

    entry = find_model(model)
    card = read_card(entry.path)
    entries: Sequence[Entry] = [*project.records, *(project.unannotated if card.automatic else ())]
    if not entries:
        raise PicturesError(
            f"{project.folder} has no masks, and '{card.name}' needs clicks, which are simulated "
            "on annotated objects; annotate some images, or choose a model that needs no click."
        )
    several = len(card.classes) > 1
    if several:
        project = by_classes(project)
        entries = [*project.records, *(project.unannotated if card.automatic else ())]
    classes = several and _class_ids(project)
    ours = sorted(entries, key=lambda one: one.name)
    return Album(
        project.folder.resolve().name,
        _predictor(model, card.automatic, clicks),
        tuple(ours),
        predicting_with(str(entry.path), device, clicks, by_class=classes),
        by_class=classes,
        by_object=not _class_ids(project),
        ignored=_ignored(project),
    )


def _of_predictions(project: Project) -> Album:
    folder = project.folder
    reviews = read_reviews(folder / TABLE)
    kept = {
        name: folder / review.prediction
        for name, review in reviews.items()
        if review.state != REJECTED and is_there(folder, review)
    }
    every: list[Entry] = [*project.records, *project.unannotated]
    entries = sorted((one for one in every if one.name in kept), key=lambda one: one.name)
    if not entries:
        raise PicturesError(
            f"{folder} has no predictions; say --model M, or predict the rest first "
            "(clickseg predict PROJECT --rest)."
        )

    def find(subject: PicturedImage) -> PredictedLabels:
        return PredictedLabels(read_labels(kept[subject.name]))

    return Album(
        folder.resolve().name,
        "what was predicted and is kept in the project",
        tuple(entries),
        find,
        by_class=_class_ids(project) and _several(project),
        by_object=not _class_ids(project),
        ignored=_ignored(project),
    )


def _predictor(model: str, automatic: bool, clicks: int) -> str:
    if automatic:
        return f"{model}, without clicks"
    return f"{model}, with up to {clicks} simulated click{'' if clicks == 1 else 's'} an object"


def _grouped(entries: Sequence[Entry]) -> frozenset[str]:
    groups = [one.group for one in entries]
    return frozenset(group for group in groups if group and groups.count(group) > 1)


def _class_ids(project: Project) -> bool:
    return project.classes is not None and project.classes.scheme == "classes"


def _several(project: Project) -> bool:
    return project.classes is not None and len(project.classes.classes) > 1


def _ignored(project: Project) -> int | None:
    return None if project.classes is None else project.classes.ignore
