"""Predict the images of a project that are not annotated, without clicks, for later review.

dask's threads run the images. Each prediction is on disk as soon as it is made, so that a batch
that was stopped, or killed, goes on where it was when it is started again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.masks import Refinement
from napari_clickseg.core.prompts import Prompt
from napari_clickseg.core.source import ImageError
from napari_clickseg.core.uncertainty import mean_entropy
from napari_clickseg.data.images import read_single_plane
from napari_clickseg.data.project import read_project
from napari_clickseg.data.review import REJECTED, TO_REVIEW, ReviewQueue
from napari_clickseg.engine.finding import ObjectFinder, class_ids
from napari_clickseg.engine.foreground_objects import objects_spec
from napari_clickseg.engine.inference import Estimator
from napari_clickseg.engine.prediction import predict
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.models.checkpoint import read_card, sha256
from napari_clickseg.models.registry import find_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.data.annotations import Annotations
    from napari_clickseg.data.images import ImagePlane
    from napari_clickseg.data.project import Project, Unannotated
    from napari_clickseg.data.review import Review
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.models.card import ModelCard

_EIGHT = np.ones((3, 3), bool)


class BatchError(ValueError):
    """Images that can't be predicted without clicks; the message says what to do."""


@dataclass(slots=True)
class BatchResult:
    """What a batch came to.

    Parameters
    ----------
    model : str
        SHA-256 of the model's file.
    total : int
        Images that were to be predicted.
    predicted : list of str
        Names of those that were.
    problems : dict of str to str
        Why others could not be, by name.
    notices : dict of str to str
        What was not used of the files of those that were, by name.
    kept : int
        Images left alone, because they have a prediction already.
    """

    model: str
    total: int = 0
    predicted: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    notices: dict[str, str] = field(default_factory=dict)
    kept: int = 0
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """What came of an image: a problem, or else what was not used of its file."""

    name: str
    problem: str = ""
    notice: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class Predicted:
    """What was predicted of an image: labels (Y, X), how unsure, what is said of each object."""

    labels: npt.NDArray[Any]
    uncertainty: float
    notes: Annotations | None = None


def predict_rest(
    folder: Path | str,
    model: str | Path,
    *,
    device: str = "auto",
    limit: int = 0,
    overwrite: bool = False,
    workers: int = 1,
    stop: Callable[[], bool] = lambda: False,
    on_image: Callable[[int, int], object] = lambda *_: None,
) -> BatchResult:
    """Predict the images of a project that have no mask, and put them into the review queue.

    Images that were predicted by this model before are left alone. Without `overwrite` so are
    those that wait with another model's prediction, and with it even those whose prediction by
    this model was rejected are predicted again. Annotated images never are.

    Parameters
    ----------
    folder : Path or str
        Of a project.
    model : str or Path
        Name, or path of a .safetensors file; it has to predict without clicks.
    device : str
        As for `load_segmenter`.
    limit : int
        The most images; 0 takes all.
    overwrite : bool
        Replace what waits to be reviewed, where another model predicted it.
    workers : int
        Images at the same time.
    stop : callable
        Asked before each image; True ends the batch.
    on_image : callable
        Called with the number of images that are done, and how many there are, in the caller's
        thread.

    Raises
    ------
    BatchError
        If the model needs clicks.
    ModelFileError, DeviceError
        If the model can't be used.
    ProjectError
        If this is no project folder, or its files can't be written.
    """
    queue = ReviewQueue(folder)
    entry = find_model(model)
    card = read_card(entry.path)
    if card.refusal_without_clicks:
        raise BatchError(card.refusal_without_clicks)
    project = read_project(folder)
    result = BatchResult(sha256(entry.path))
    reviews = queue.reviews()
    todo = [
        image
        for image in project.unannotated
        if _wanted(queue, reviews.get(image.name), result.model, overwrite)
    ]
    result.kept = len(project.unannotated) - len(todo)
    todo = todo[: limit or None]
    result.total = len(todo)
    if todo:
        segmenter = load_segmenter(model, device)
        as_objects = _scheme(project, card) == "instances"
        predict = _finding(project, segmenter, as_objects, result.model, stop)
        job = partial(_predict_one, queue, predict, result.model, stop)
        _compute(job, todo, result, workers, on_image)
    result.stopped = len(result.predicted) + len(result.problems) < result.total
    return result


def predict_unclicked(
    segmenter: Segmenter, image: Any, *, rgb: bool | None = None
) -> tuple[npt.NDArray[Any], float]:
    """Predict an image without clicks, as a session does, and say how unsure the model is.

    Parameters
    ----------
    segmenter : Segmenter
        Its model predicts without clicks.
    image, rgb
        As for `Segmenter.start`.

    Returns
    -------
    labels : uint8 (Y, X)
        Numbers of the model's classes, from 1; 0 is background.
    uncertainty : float
        See `core.uncertainty.mean_entropy`; over the network's pixels.
    """
    session = segmenter.start(image, rgb=rgb)
    card, shape = segmenter.card, session.shape
    estimator = Estimator(card, session.source, session.intensity, segmenter.look)
    estimate = estimator.step(Prompt(), None)
    if estimate is None:
        raise BatchError(f"The model '{card.name}' needs clicks.")
    found = predict(Prompt(), estimate, shape, Refinement())
    inside = estimate.window.covers(shape)
    unsure = mean_entropy(estimate.probabilities, inside, overlapping=card.overlapping)
    return found.labels, unsure


def _wanted(queue: ReviewQueue, review: Review | None, model: str, overwrite: bool) -> bool:
    """Whether an image that is not annotated is to be predicted, given what became of it."""
    if review is None or review.state not in (TO_REVIEW, REJECTED):
        return True
    if review.state == REJECTED:
        return overwrite or review.model != model
    if not queue.path(review).is_file():
        return True
    return overwrite and review.model != model


def _scheme(project: Project, card: ModelCard) -> str:
    """Return what ids of the project's masks mean; if it does not say, what the model learnt."""
    if project.classes is not None:
        return project.classes.scheme
    return str(card.training.get("spec", {}).get("scheme", "classes"))


def _predict_one(
    queue: ReviewQueue,
    predict: Callable[[ImagePlane], Predicted | None],
    model: str,
    stop: Callable[[], bool],
    image: Unannotated,
) -> ImageOutcome | None:
    """Predict an image. Runs on a worker thread."""
    if stop():
        return None
    try:
        plane = read_single_plane(image.image)
        found = predict(plane)
    except ImageError as error:
        return ImageOutcome(image.name, problem=str(error))
    except MemoryError:
        return ImageOutcome(image.name, problem=f"{image.name} does not fit into memory.")
    if found is None:
        return None
    queue.propose(
        image.name, found.labels, model=model, uncertainty=found.uncertainty, notes=found.notes
    )
    return ImageOutcome(image.name, notice=" ".join(plane.notices))


def _finding(
    project: Project,
    segmenter: Segmenter,
    as_objects: bool,
    model: str,
    stop: Callable[[], bool],
) -> Callable[[ImagePlane], Predicted | None]:
    """Return what predicts an image as the project's masks are; it may run on any thread."""
    card = segmenter.card

    def classes(plane: ImagePlane) -> Predicted:
        numbers, unsure = predict_unclicked(segmenter, plane.data, rgb=plane.rgb)
        return Predicted(
            pieces_of(numbers) if as_objects else ids_of_classes(numbers, card), unsure
        )

    def objects(plane: ImagePlane) -> Predicted | None:
        found = ObjectFinder.of(segmenter, plane.data, rgb=plane.rgb).find(stop=stop)
        if found is None:
            return None
        if not as_objects:
            numbers = np.append(0, found.classes)[found.labels]
            return Predicted(ids_of_classes(numbers, card), found.doubt)
        known = project.classes.classes if project.classes is not None else ()
        notes = found.notes(model, class_ids(card, {one.name: one.id for one in known}))
        return Predicted(found.labels, found.doubt, notes)

    apart = card.objects is not None or (as_objects and objects_spec(card) is not None)
    return objects if apart else classes


def ids_of_classes(numbers: npt.NDArray[np.uint8], card: ModelCard) -> npt.NDArray[Any]:
    """Return the ids that masks have for a model's classes.

    Parameters
    ----------
    card : ModelCard
        Of the model.
    numbers : uint8 (Y, X)
        Of the model's classes, from 1; 0 is background.

    Returns
    -------
    int64 (Y, X)
    """
    known = card.class_ids or tuple(range(1, len(card.classes) + 1))
    return np.array((0, *known), np.int64)[numbers]


def pieces_of(numbers: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Return an id for each connected piece (8 neighbours) of a class, int64 (Y, X).

    Parameters
    ----------
    numbers : uint8 (Y, X)
        Of classes, from 1; 0 is background.
    """
    from scipy import ndimage

    out = np.zeros(numbers.shape, np.int64)
    for number in np.unique(numbers[numbers > 0]):
        pieces, _ = ndimage.label(numbers == number, _EIGHT)
        out = np.where(pieces > 0, pieces + out.max(), out)
    return out


def _compute(
    job: Callable[[Unannotated], ImageOutcome | None],
    todo: Sequence[Unannotated],
    result: BatchResult,
    workers: int,
    on_image: Callable[[int, int], object],
) -> None:
    """Run the jobs, and take note of each in this thread as it ends."""
    from dask.base import compute
    from dask.callbacks import Callback
    from dask.delayed import delayed

    def posttask(key: object, value: object, *_: object) -> None:
        if not isinstance(value, ImageOutcome):
            return
        if value.problem:
            result.problems[value.name] = value.problem
        else:
            result.predicted.append(value.name)
        if value.notice:
            result.notices[value.name] = value.notice
        on_image(len(result.predicted) + len(result.problems), result.total)

    on_image(0, result.total)
    graph = [delayed(partial(job, one), pure=False)(dask_key_name=one.name) for one in todo]
    with Callback(posttask=posttask):  # type: ignore[no-untyped-call]
        compute(  # type: ignore[no-untyped-call]
            *graph, scheduler="threads", num_workers=workers, optimize_graph=False
        )
