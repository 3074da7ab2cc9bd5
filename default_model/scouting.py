"""Fits how the first look's distance is chosen, on images with truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import softmax

from napari_clickseg.core.intensity import measure
from napari_clickseg.core.oracle import jittered, next_click
from napari_clickseg.core.source import ImageSource
from napari_clickseg.engine.inference import Estimator
from napari_clickseg.engine.scouting import FEATURES
from napari_clickseg.evaluation.noc import NocSpec, objects_of
from napari_clickseg.models.card import ScoutingSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_clickseg.core.clicks import Click
    from napari_clickseg.engine.estimate import Estimate
    from napari_clickseg.engine.segmenter import Segmenter

__all__ = ["ScoutingError", "fit_scouting"]

_RIDGE = 3e-4
_AWAY = 0.12  # by which clicks miss the middle, in square roots of the object's area


class ScoutingError(ValueError):
    """Nothing to fit to; the message says why."""


def fit_scouting(
    segmenter: Segmenter,
    images: Iterable[tuple[str, npt.NDArray[Any], npt.NDArray[Any]]],
    *,
    size: int = 128,
    looks: int = 5,
    factor: float = 1.7,
    objects: int = 2,
) -> ScoutingSpec:
    """Fit weights such that the look with the highest score overlaps most with the truth.

    A softmax over the scores says how likely each look is chosen; the weights maximise the IoU
    that is then to be expected. Each object is clicked on twice: in its middle, and where a hand
    may hit that misses it. What is chosen is looked at a second time if more IoU is to be expected
    of that.

    Parameters
    ----------
    segmenter : Segmenter
        The model.
    images : iterable of (str, array, int (Y, X))
        Name, image and ids; none that the model is to be measured on.
    size, looks, factor : int, int, float
        See `ScoutingSpec`.
    objects : int
        Of each image, at the most.

    Raises
    ------
    ScoutingError
        If the images hold no object.
    """
    spec = ScoutingSpec(size=size, looks=looks, factor=factor, weights=(0.0,) * len(FEATURES))
    chosen = NocSpec(objects=objects)
    described: list[npt.NDArray[np.float64]] = []
    overlaps: tuple[list[list[float]], ...] = ([], [])  # of the looks, of second ones
    for name, image, labels in images:
        source = ImageSource(image)
        intensity = measure(source, trim=segmenter.card.intensity_trim)
        estimator = Estimator(segmenter.card, source, intensity, segmenter.look)
        for identifier in objects_of(labels, chosen, chosen.rng(name)):
            truth = np.asarray(labels == identifier)
            for click in _clicks(truth, chosen.rng(f"{name} {identifier}")):
                estimates, features = estimator.scouted((click,), spec)
                again = [estimator.look_again(estimate, (click,)) for estimate in estimates]
                described.append(features)
                for known, looks_there in zip(overlaps, (estimates, again), strict=True):
                    known.append([_overlap(estimate, truth) for estimate in looks_there])
    if not described:
        raise ScoutingError("There is no object to fit to; give images with labelled objects.")
    scale = np.concatenate(described).std(axis=0)
    scale[scale < 1e-9] = np.inf
    standardised = [features / scale for features in described]
    fits = [_fitted(standardised, known) for known in overlaps]
    second = fits[1][1] > fits[0][1]
    weights = fits[second][0] / scale
    return spec.model_copy(
        update={"weights": tuple(float(w) for w in weights), "second_look": second}
    )


def _fitted(
    described: list[npt.NDArray[np.float64]], overlaps: list[list[float]]
) -> tuple[npt.NDArray[np.float64], float]:
    """Return the weights of standardised features that maximise the expected overlap, and that."""

    def lost(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        loss, slope = _RIDGE * float(weights @ weights), 2 * _RIDGE * weights
        for features, overlap in zip(described, overlaps, strict=True):
            share = softmax(features @ weights)
            expected = float(share @ overlap)
            loss -= expected / len(described)
            slope -= (share * (np.asarray(overlap) - expected)) @ features / len(described)
        return loss, slope

    start = np.zeros(len(FEATURES))
    best = minimize(lost, start, jac=True, method="L-BFGS-B")
    return np.asarray(best.x), -float(best.fun)


def _clicks(truth: npt.NDArray[np.bool_], rng: np.random.Generator) -> list[Click]:
    """Return first clicks on an object: its inner-most pixel, and one off it."""
    nothing = np.zeros_like(truth)
    click = next_click(nothing, truth, [])
    if click is None:
        return []
    sigma = _AWAY * float(np.sqrt(truth.sum()))
    return [click, jittered(click, nothing, truth, rng, sigma=sigma)]


def _overlap(estimate: Estimate, truth: npt.NDArray[np.bool_]) -> float:
    box = estimate.window.visible((truth.shape[0], truth.shape[1]))
    mask = estimate.part(box) > 0.5
    both = int((mask & truth[box.slices]).sum())
    return both / max(1, int(mask.sum()) + int(truth.sum()) - both)
