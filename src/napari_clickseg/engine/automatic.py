"""Predict the images of a project that are not annotated, without clicks, for later review.

dask's threads run the images, or the workers of a dask cluster; several programs may each take a
share of them. Each prediction is on disk as soon as it is made, so that a batch that was stopped,
or killed, goes on where it was when it is started again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clickseg.data.project import read_project
from napari_clickseg.data.review import REJECTED, TO_REVIEW, ReviewQueue, is_there
from napari_clickseg.engine.imagewise import (
    BatchError,
    BatchSpec,
    ImageOutcome,
    image_predictor,
    predict_named,
)
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.models.checkpoint import read_card, sha256
from napari_clickseg.models.registry import find_model
from napari_clickseg.runs.spread import ClusterError, each_on_cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_clickseg.data.project import Project, Unannotated
    from napari_clickseg.data.review import Review


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


def predict_rest(
    folder: Path | str,
    model: str | Path,
    *,
    device: str = "auto",
    limit: int = 0,
    overwrite: bool = False,
    workers: int = 1,
    shard: tuple[int, int] = (1, 1),
    scheduler: str = "",
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
        Images at the same time, without a scheduler.
    shard : (int, int)
        Which share of the images is taken, from 1, of how many. Shares don't depend on what is
        predicted or annotated meanwhile, so each image is in exactly one of them, whenever the
        programs start that take them.
    scheduler : str
        Address of a dask.distributed scheduler, whose workers see the same files; "" predicts in
        this process.
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
    ClusterError
        If the scheduler does not answer.
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
    own = _share(project, *shard)
    todo = [
        image for image in own if _wanted(queue, reviews.get(image.name), result.model, overwrite)
    ]
    result.kept = len(own) - len(todo)
    todo = todo[: limit or None]
    result.total = len(todo)
    if todo:
        note = partial(_note, result, on_image)
        on_image(0, result.total)
        if scheduler:
            whole = Path(folder).resolve(), entry.path.resolve()
            spec = BatchSpec(str(whole[0]), str(whole[1]), result.model, device)
            _compute_there(spec, todo, scheduler, stop, note)
        else:
            segmenter = load_segmenter(model, device)
            job = image_predictor(project, segmenter, result.model, stop)
            _compute_here(job, todo, workers, note)
    result.stopped = len(result.predicted) + len(result.problems) < result.total
    return result


def _wanted(queue: ReviewQueue, review: Review | None, model: str, overwrite: bool) -> bool:
    """Whether an image that is not annotated is to be predicted, given what became of it."""
    if review is None or review.state not in (TO_REVIEW, REJECTED):
        return True
    if review.state == REJECTED:
        return overwrite or review.model != model
    if not is_there(queue.folder, review):
        return True
    return overwrite and review.model != model


def _share(project: Project, number: int, of: int) -> list[Unannotated]:
    """Return a share of the images that are not annotated, from 1."""
    bare = {image.name: image for image in project.unannotated}
    every = sorted({*bare, *(record.name for record in project.records)})
    return [bare[name] for name in every[number - 1 :: of] if name in bare]


def _note(
    result: BatchResult, on_image: Callable[[int, int], object], outcome: ImageOutcome
) -> None:
    """Take note of what came of an image."""
    if outcome.problem:
        result.problems[outcome.name] = outcome.problem
    else:
        result.predicted.append(outcome.name)
    if outcome.notice:
        result.notices[outcome.name] = outcome.notice
    on_image(len(result.predicted) + len(result.problems), result.total)


def _compute_here(
    job: Callable[[Unannotated], ImageOutcome | None],
    todo: Sequence[Unannotated],
    workers: int,
    note: Callable[[ImageOutcome], object],
) -> None:
    """Run the jobs, and have note taken of each in this thread as it ends."""
    from dask.base import compute
    from dask.callbacks import Callback
    from dask.delayed import delayed

    def posttask(key: object, value: object, *_: object) -> None:
        if isinstance(value, ImageOutcome):
            note(value)

    graph = [delayed(partial(job, one), pure=False)(dask_key_name=one.name) for one in todo]
    with Callback(posttask=posttask):  # type: ignore[no-untyped-call]
        compute(  # type: ignore[no-untyped-call]
            *graph, scheduler="threads", num_workers=workers, optimize_graph=False
        )


def _compute_there(
    spec: BatchSpec,
    todo: Sequence[Unannotated],
    scheduler: str,
    stop: Callable[[], bool],
    note: Callable[[ImageOutcome], object],
) -> None:
    """Run the jobs on a cluster, and have note taken of each in this thread as it ends."""

    def done(name: str, outcome: ImageOutcome | ClusterError) -> None:
        if isinstance(outcome, ClusterError):
            outcome = ImageOutcome(name, problem=f"{name}: {outcome}")
        note(outcome)

    each_on_cluster(
        partial(predict_named, spec), [one.name for one in todo], scheduler, done=done, stop=stop
    )
