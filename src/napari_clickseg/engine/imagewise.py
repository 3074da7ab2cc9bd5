"""An image of a project predicted without clicks, whichever thread or machine does it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.masks import Refinement
from napari_clickseg.core.prompts import Prompt
from napari_clickseg.core.source import ImageError
from napari_clickseg.core.uncertainty import mean_entropy
from napari_clickseg.data.images import read_single_plane
from napari_clickseg.data.project import read_project
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.engine.finding import ObjectFinder, class_ids
from napari_clickseg.engine.inference import Estimator
from napari_clickseg.engine.prediction import predict
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.engine.slides.project_slides import SlidesOfProject, tells_apart
from napari_clickseg.engine.slides.tile_files import UnfinishedError
from napari_clickseg.engine.slides.whole_slide import SlideError
from napari_clickseg.models.checkpoint import sha256

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from napari_clickseg.data.annotations import Annotations
    from napari_clickseg.data.images import ImagePlane
    from napari_clickseg.data.project import Project, Unannotated
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.models.card import ModelCard

_EIGHT = np.ones((3, 3), bool)
_READYING = Lock()  # threads of a worker share a model


class BatchError(ValueError):
    """Images that can't be predicted without clicks; the message says what to do."""


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


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """What a batch does with each of its images; whoever does it sees the same files.

    Parameters
    ----------
    folder : str
        Of the project.
    model : str
        Path of the model's file.
    sha256 : str
        Of that file.
    device : str
        As for `load_segmenter`.
    """

    folder: str
    model: str
    sha256: str
    device: str


def predict_named(spec: BatchSpec, name: str) -> ImageOutcome:
    """Predict an image of a project and put it into the review queue, on a worker of a cluster.

    Parameters
    ----------
    spec : BatchSpec
        What is done.
    name : str
        Of the image.

    Raises
    ------
    BatchError
        If the model's file is another one here.
    ModelFileError, DeviceError, ProjectError
        If model or project can't be used here.
    """
    with _READYING:
        work, images = _ready(spec)
    if name not in images:
        return ImageOutcome(name, problem=f"{name} is annotated by now, or gone.")
    outcome = work(images[name])
    assert outcome is not None  # nobody stops it
    return outcome


@lru_cache(maxsize=1)
def _ready(
    spec: BatchSpec,
) -> tuple[Callable[[Unannotated], ImageOutcome | None], dict[str, Unannotated]]:
    """Load the model, once for all images of a batch that come to this process."""
    if sha256(Path(spec.model)) != spec.sha256:
        raise BatchError(f"{spec.model} is another file on this worker; give all the same one.")
    project, segmenter = read_project(spec.folder), load_segmenter(spec.model, spec.device)
    work = image_predictor(project, segmenter, spec.sha256, lambda: False)
    return work, {one.name: one for one in project.unannotated}


def image_predictor(
    project: Project, segmenter: Segmenter, model: str, stop: Callable[[], bool]
) -> Callable[[Unannotated], ImageOutcome | None]:
    """Return what predicts an image and puts it into the review queue; on any thread.

    Parameters
    ----------
    project : Project
        Whose masks say what ids mean.
    segmenter : Segmenter
        Predicts without clicks.
    model : str
        SHA-256 of its file.
    stop : callable
        Whether nobody wants it any more; what is returned then returns None.
    """
    queue = ReviewQueue(project.folder)
    as_objects = _scheme(project, segmenter.card) == "instances"
    find = _finding(project, segmenter, as_objects, model, stop)
    slides = SlidesOfProject(project, segmenter, as_objects, model)
    return partial(_predict_one, queue, find, slides, model, stop)


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
    prediction = predict(Prompt(), estimate, shape, Refinement())
    inside = estimate.window.covers(shape)
    unsure = mean_entropy(estimate.probabilities, inside, overlapping=card.overlapping)
    return prediction.labels, unsure


def _scheme(project: Project, card: ModelCard) -> str:
    """Return what ids of the project's masks mean; if it does not say, what the model learnt."""
    if project.classes is not None:
        return project.classes.scheme
    return str(card.training.get("spec", {}).get("scheme", "classes"))


def _predict_one(
    queue: ReviewQueue,
    predict: Callable[[ImagePlane], Predicted | None],
    slides: SlidesOfProject,
    model: str,
    stop: Callable[[], bool],
    image: Unannotated,
) -> ImageOutcome | None:
    """Predict an image. Runs on a worker thread."""
    if stop():
        return None
    try:
        plane = read_single_plane(image.image)
        if slides.wants(plane):
            slide = slides.predict(image, plane, queue.place_of_slide(image.name), stop)
            if slide is None:
                return None
            queue.propose_slide(
                image.name, model=model, uncertainty=slide.uncertainty, notes=slide.notes
            )
            return ImageOutcome(image.name, notice=" ".join(plane.notices))
        predicted = predict(plane)
    except (ImageError, SlideError, UnfinishedError) as error:
        return ImageOutcome(image.name, problem=str(error))
    except MemoryError:
        return ImageOutcome(image.name, problem=f"{image.name} does not fit into memory.")
    if predicted is None:
        return None
    queue.propose(
        image.name,
        predicted.labels,
        model=model,
        uncertainty=predicted.uncertainty,
        notes=predicted.notes,
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
        instances = ObjectFinder.of(segmenter, plane.data, rgb=plane.rgb).find(stop=stop)
        if instances is None:
            return None
        if not as_objects:
            numbers = np.append(0, instances.classes)[instances.labels]
            return Predicted(ids_of_classes(numbers, card), instances.doubt)
        known = project.classes.classes if project.classes is not None else ()
        notes = instances.notes(model, class_ids(card, {one.name: one.id for one in known}))
        return Predicted(instances.labels, instances.doubt, notes)

    return objects if tells_apart(card, as_objects=as_objects) else classes


def ids_of_classes(numbers: npt.NDArray[np.uint8], card: ModelCard) -> npt.NDArray[Any]:
    """Return the ids that masks have for a model's classes.

    Parameters
    ----------
    numbers : uint8 (Y, X)
        Of the model's classes, from 1; 0 is background.
    card : ModelCard
        Of the model.

    Returns
    -------
    int64 (Y, X)
    """
    return np.array((0, *card.ids_of_classes), np.int64)[numbers]


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
