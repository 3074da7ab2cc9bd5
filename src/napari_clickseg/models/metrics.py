"""Figures of predicted classes, by segmentation_models_pytorch's metrics.

*Micro* counts all pixels of all images and classes together. *Macro* is the mean over the
classes, each counted over all images. *Image-wise* is the mean over images and classes, so that
every image counts the same. Where a class is neither there nor predicted, the figure is 1: an
image without a tumour that is predicted empty is right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.models.libraries import import_networks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
_REDUCTIONS = {"micro": "micro", "macro": "macro", "imagewise": "macro-imagewise"}


@dataclass(frozen=True, eq=False, slots=True)
class Counts:
    """Pixels of an image that are rightly and wrongly predicted, for each class: int64 (K,)."""

    tp: IntArray
    fp: IntArray
    fn: IntArray
    tn: IntArray

    def iou(self) -> npt.NDArray[np.float64]:
        """Return the IoU of each class, 1 where it is neither there nor predicted."""
        union = self.tp + self.fp + self.fn
        return np.where(union > 0, self.tp / np.maximum(union, 1), 1.0)

    def dice(self) -> npt.NDArray[np.float64]:
        """Return the Dice coefficient of each class; see `iou`."""
        iou = self.iou()
        return np.asarray(2 * iou / (1 + iou))


def count(masks: BoolArray, truth: BoolArray, ignored: BoolArray | None = None) -> Counts:
    """Count the pixels of an image.

    Parameters
    ----------
    masks, truth : bool (K, Y, X)
        A mask for each class, without background.
    ignored : bool (Y, X), optional
        Pixels that count neither way.
    """
    import torch

    import_networks()
    from segmentation_models_pytorch.metrics import get_stats

    kept = slice(None) if ignored is None else ~ignored.ravel()
    a, b = (np.ascontiguousarray(m.reshape(len(m), -1)[:, kept])[None] for m in (masks, truth))
    if a.shape[2] == 0:
        return Counts(*(np.zeros(len(masks), np.int64) for _ in range(4)))
    counts = get_stats(torch.from_numpy(a).long(), torch.from_numpy(b).long(), mode="multilabel")
    return Counts(*(part[0].numpy().astype(np.int64) for part in counts))


def figures(images: Sequence[Counts], classes: Sequence[str]) -> dict[str, float]:
    """Sum up several images.

    Parameters
    ----------
    images : sequence of Counts
        Of each image.
    classes : sequence of str
        Their names.

    Returns
    -------
    dict
        iou and dice micro, macro, imagewise; precision, recall (macro); iou and dice of each
        class. Empty without any image.
    """
    if not images:
        return {}
    import torch

    import_networks()
    from segmentation_models_pytorch import metrics

    stats = [
        torch.from_numpy(np.stack([getattr(image, name) for image in images]))
        for name in ("tp", "fp", "fn", "tn")
    ]
    out: dict[str, float] = {}
    for figure, function in (("dice", metrics.f1_score), ("iou", metrics.iou_score)):
        for name, reduction in _REDUCTIONS.items():
            out[f"{figure}_{name}"] = _figure(function, stats, reduction)
    for figure in ("precision", "recall"):
        out[figure] = _figure(getattr(metrics, figure), stats, "macro")
    for k, name in enumerate(classes):
        whole = [part[:, k : k + 1] for part in stats]
        for figure, function in (("dice", metrics.f1_score), ("iou", metrics.iou_score)):
            out[f"{figure}_{name}"] = _figure(function, whole, "micro")
    return out


def _figure(function: Callable[..., Any], stats: Sequence[Tensor], reduction: str) -> float:
    """Return a figure, 1 where there is nothing: the library's "micro" leaves 0 / 0 as it is."""
    value = float(function(*stats, reduction=reduction, zero_division=1.0))
    return 1.0 if math.isnan(value) else value


def confusion(
    labels: npt.NDArray[np.integer], truth: npt.NDArray[np.integer], count: int
) -> IntArray:
    """Return how many pixels of each true class (rows) were given each class (columns).

    Parameters
    ----------
    labels, truth : int (n,)
        Indices of classes, 0 for background.
    count : int
        Classes, with the background.
    """
    both = truth.astype(np.int64) * count + labels.astype(np.int64)
    return np.bincount(both.ravel(), minlength=count * count).reshape(count, count)


def higher_is_better(metric: str) -> bool:
    """Whether a figure of that name is to be high: all but losses."""
    return "loss" not in metric
