"""How well objects are told apart: AP, F1, panoptic quality, splits and merges.

A predicted object and a true one match at an IoU of t where their IoU lies above t. Above a half an
object matches one at the most, so nothing has to be assigned. Over several images a figure is
either **image-wise** (the mean of each image's figure, 1 where nothing is there and nothing was
found) or **pooled** (the objects of all images counted together).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IntArray = npt.NDArray[np.int64]
THRESHOLDS = tuple(n / 100 for n in range(50, 91, 5))
_SHOWN = (50, 75, 90)  # of these AP has a figure of its own, in percent
_LEAST = 0.5  # IoU from which on pairs are kept
_PART = 0.1  # share of an object that a piece of it has at the least


@dataclass(frozen=True, slots=True)
class Matching:
    """Which objects of an image were found; those of several images can be added.

    Parameters
    ----------
    truths, predictions : int
        How many objects there are, and how many were found.
    ious : tuple of float
        Of each pair of a true and a predicted object, where it lies above 0.5; rising.
    splits : int
        True objects that were found in several pieces: at least two predicted objects lie mostly
        (by more than half) in it, and each is a tenth of it or more.
    merges : int
        Predicted objects that take several true ones for one, told in the same way.
    """

    truths: int = 0
    predictions: int = 0
    ious: tuple[float, ...] = ()
    splits: int = 0
    merges: int = 0

    def __add__(self, other: Matching) -> Matching:
        return Matching(
            self.truths + other.truths,
            self.predictions + other.predictions,
            tuple(sorted((*self.ious, *other.ious))),
            self.splits + other.splits,
            self.merges + other.merges,
        )

    def true_positives(self, threshold: float = 0.5) -> int:
        """Return how many true objects were found, at an IoU of 0.5 or more."""
        return sum(iou > threshold for iou in self.ious)

    def ap(self, threshold: float = 0.5) -> float:
        """Return the average precision as Cellpose and StarDist use it: TP / (TP + FP + FN)."""
        hits = self.true_positives(threshold)
        return _share(hits, self.truths + self.predictions - hits)

    def f1(self, threshold: float = 0.5) -> float:
        """Return the harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
        return _share(2 * self.true_positives(threshold), self.truths + self.predictions)

    def precision(self, threshold: float = 0.5) -> float:
        """Return the share of what was found that is there."""
        return _share(self.true_positives(threshold), self.predictions)

    def recall(self, threshold: float = 0.5) -> float:
        """Return the share of what is there that was found."""
        return _share(self.true_positives(threshold), self.truths)

    @property
    def mean_ap(self) -> float:
        """AP, the mean over IoUs of 0.5, 0.55 … 0.9."""
        return float(np.mean([self.ap(threshold) for threshold in THRESHOLDS]))

    @property
    def pq(self) -> float:
        """Panoptic quality: the sum of matching objects' IoUs over TP + FP / 2 + FN / 2."""
        return _share(2 * sum(self.ious), self.truths + self.predictions)

    def figures(self) -> dict[str, float]:
        """Return the figures by name: AP, F1, precision, recall and panoptic quality."""
        at = {f"ap_{percent}": self.ap(percent / 100) for percent in _SHOWN}
        return at | {
            "ap_mean": self.mean_ap,
            "f1_50": self.f1(),
            "precision_50": self.precision(),
            "recall_50": self.recall(),
            "pq": self.pq,
        }


def match(
    labels: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    unknown: npt.NDArray[np.bool_] | None = None,
) -> Matching:
    """Compare the objects of two label maps.

    Parameters
    ----------
    labels, truth : int (Y, X)
        Ids of objects, predicted and true; 0 is background.
    unknown : bool (Y, X), optional
        Pixels of which nobody knows what they are. They count neither way, and predicted objects
        that lie there by more than half are left out.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if labels.shape != truth.shape:
        raise ValueError(f"The labels' shape {labels.shape} is not the truth's {truth.shape}.")
    if unknown is not None:
        labels, truth = _known(labels, truth, unknown)
    predicted_ids, there, shared, predicted, actual = _shared(labels, truth)
    own, whole = predicted[predicted_ids], actual[there]
    ious = shared / (own + whole - shared)
    pieces = there[(shared > own / 2) & (shared >= _PART * whole)]
    swallowed = predicted_ids[(shared > whole / 2) & (shared >= _PART * own)]
    return Matching(
        len(actual),
        len(predicted),
        tuple(float(iou) for iou in np.sort(ious[ious > _LEAST])),
        int(np.count_nonzero(np.bincount(pieces) > 1)),
        int(np.count_nonzero(np.bincount(swallowed) > 1)),
    )


def class_matchings(
    labels: npt.NDArray[Any],
    classes: Mapping[int, int],
    truth: npt.NDArray[Any],
    true_classes: Mapping[int, int],
    unknown: npt.NDArray[np.bool_] | None = None,
) -> dict[int, Matching]:
    """Compare objects class by class: one of another class does not match.

    Parameters
    ----------
    labels, truth, unknown
        As for `match`.
    classes, true_classes : mapping of int to int
        The class of each object, by its id.
    """
    every = sorted({*classes.values(), *true_classes.values()})
    return {
        one: match(_of_class(labels, classes, one), _of_class(truth, true_classes, one), unknown)
        for one in every
    }


def matching_figures(images: Sequence[Matching]) -> dict[str, float]:
    """Sum up several images.

    Returns
    -------
    dict
        The pooled figures of `Matching.figures`; `pq_imagewise` and `ap_50_imagewise`; `splits`
        and `merges` as shares of the true objects. Empty without any image.
    """
    if not images:
        return {}
    pooled = sum(images, Matching())
    return pooled.figures() | {
        "ap_50_imagewise": float(np.mean([one.ap() for one in images])),
        "pq_imagewise": float(np.mean([one.pq for one in images])),
        "splits": pooled.splits / max(1, pooled.truths),
        "merges": pooled.merges / max(1, pooled.truths),
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def _known(
    labels: npt.NDArray[Any], truth: npt.NDArray[Any], unknown: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Take unknown pixels away, and what was found mostly there."""
    ids, at, counts = np.unique(labels, return_inverse=True, return_counts=True)
    hidden = np.bincount(at.ravel(), unknown.ravel(), len(ids))
    kept = np.where(2 * hidden > counts, 0, ids)[at].reshape(labels.shape)
    return np.where(unknown, 0, kept), np.where(unknown, 0, truth)


def _shared(labels: npt.NDArray[Any], truth: npt.NDArray[Any]) -> tuple[IntArray, ...]:
    """Return the pairs of objects that share pixels, how many, and the pixels of each object.

    Returns
    -------
    predicted_ids, there, shared : int64 (n,)
        Of each pair, the predicted object, the true one, and the pixels of both.
    predicted, actual : int64 (P,), (T,)
        Pixels of each object.
    """
    rows, columns = _compact(labels), _compact(truth)
    width = int(columns.max(initial=0)) + 1
    pairs, shared = np.unique(rows * width + columns, return_counts=True)
    predicted_ids, there = np.divmod(pairs, width)
    both = (predicted_ids > 0) & (there > 0)
    return (
        predicted_ids[both] - 1,
        there[both] - 1,
        shared[both],
        np.bincount(rows)[1:],
        np.bincount(columns)[1:],
    )


def _compact(labels: npt.NDArray[Any]) -> IntArray:
    """Return ids from 1 on without gaps, 0 for background, int64 (n,)."""
    ids, at = np.unique(labels, return_inverse=True)
    background = int(np.searchsorted(ids, 0))
    there = background < len(ids) and ids[background] == 0
    flat = at.ravel().astype(np.int64)
    return flat if there else flat + 1


def _of_class(
    labels: npt.NDArray[Any], classes: Mapping[int, int], wanted: int
) -> npt.NDArray[Any]:
    ids = [one for one, known in classes.items() if known == wanted]
    return np.where(np.isin(labels, ids), labels, 0)
