"""What a model finds in an image: by itself, or with the clicks of a simulated annotator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.instances.distances import object_parts
from napari_clickseg.core.oracle import next_click
from napari_clickseg.engine.finding import ObjectFinder
from napari_clickseg.engine.imagewise import ids_of_classes, pieces_of
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.pictures.pictured_image import PredictedLabels

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.core.clicks import Click
    from napari_clickseg.engine.session import Session
    from napari_clickseg.pictures.pictured_image import PicturedImage

BoolArray = npt.NDArray[np.bool_]


def predicting_with(
    model: str, device: str, clicks: int, *, by_class: bool
) -> Callable[[PicturedImage], PredictedLabels | None]:
    """Load a model, and return what finds objects with it.

    Parameters
    ----------
    model, device
        As for `load_segmenter`.
    clicks : int
        On each object, where the model needs some.
    by_class : bool
        Ids are those that the model's classes have in masks.
    """
    segmenter = load_segmenter(model, device)
    card = segmenter.card

    def find(subject: PicturedImage) -> PredictedLabels | None:
        plane = subject.plane
        if card.objects is not None:
            finder = ObjectFinder.of(segmenter, plane.data, rgb=plane.rgb)
            objects = finder.find(with_probability=True)
            assert objects is not None  # nobody stops it
            labels = objects.labels
            if by_class:
                labels = ids_of_classes(np.append(0, objects.classes)[labels], card)
            return PredictedLabels(labels, objects.probability)
        session = segmenter.start(plane.data, rgb=plane.rgb)
        if card.automatic:
            prediction = session.predict()
            numbers = prediction.labels
            labels = ids_of_classes(numbers, card) if by_class else pieces_of(numbers)
            return PredictedLabels(labels, prediction.probability)
        return _clicked(session, subject, clicks, by_class)

    return find


def _clicked(
    session: Session, subject: PicturedImage, clicks: int, by_class: bool
) -> PredictedLabels | None:
    """Have each object of the truth clicked on; where two meet, the more probable one counts."""
    truth = subject.truth
    if truth is None:
        return None
    parts = object_parts(truth) if by_class else np.unique(truth, return_inverse=True)[1]
    parts = parts.reshape(truth.shape) + (0 if by_class or (truth == 0).any() else 1)
    best = np.full(parts.shape, -1.0, np.float32)
    probability = np.zeros(parts.shape, np.float32)
    labels = np.zeros(parts.shape, np.int64)
    for part in range(1, int(parts.max(initial=0)) + 1):
        target = np.asarray(parts == part)
        mask, likely = _one(session, target, clicks, subject.ignore)
        won = mask & (likely > best)
        best[won], labels[won] = likely[won], truth[target][0]
        np.maximum(probability, likely, out=probability)
    return PredictedLabels(labels, probability)


def _one(
    session: Session, target: BoolArray, clicks: int, ignore: BoolArray | None
) -> tuple[BoolArray, npt.NDArray[np.float32]]:
    session.start_from(None)
    mask, likely = np.zeros(target.shape, bool), np.zeros(target.shape, np.float32)
    made: list[Click] = []
    while len(made) < clicks:
        click = next_click(mask, target, made, ignore=ignore)
        if click is None:
            break
        session.click(click.y, click.x, click.positive)
        made.append(click)
        prediction = session.predict()
        mask, likely = prediction.mask, prediction.probability
    return mask, likely
