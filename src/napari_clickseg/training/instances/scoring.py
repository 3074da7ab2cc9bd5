"""How well a model tells objects apart, and the rules with which it does so best."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.instances.separating import SeparationRules, without_small
from napari_clickseg.core.window import Box
from napari_clickseg.engine.finding import ObjectFinder, card_rules
from napari_clickseg.evaluation.matching import (
    Matching,
    class_matchings,
    match,
    matching_figures,
)
from napari_clickseg.training.classes.task import estimator
from napari_clickseg.training.loop.work import Validation

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_clickseg.data.sets.dataset import Dataset
    from napari_clickseg.engine.finding import ObjectMaps
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.training.instances.object_samples import ObjectSample

_HEIGHTS = (0.1, 0.06, 0.16, 0.03, 0.24, 0.36)  # those that are usually best come first
_SHARES = (0.5, 0.25, 0.75, 0.0)  # of a small object, that the smallest one has
_SMALL = 0.05  # share of the objects that are smaller than a small one
_SEARCHED = 1 << 22  # pixels of the images that rules are chosen on, at the most
_ALIKE = 1e-4  # panoptic qualities that differ by less are the same
_EIGHT = np.ones((3, 3), bool)


def measured_objects(
    segmenter: Segmenter,
    dataset: Dataset[ObjectSample],
    smallest: Sequence[int] = (),
) -> Validation:
    """Find the objects of images and measure how well that went.

    Parameters
    ----------
    segmenter : Segmenter
        Of a model that tells objects apart.
    dataset : Dataset
        Images with their objects.
    smallest : sequence of int
        Sizes to choose from; the rules are then those that suit these images best. None: the
        card's rules are used.

    Returns
    -------
    Validation
        Without a loss; `chosen` has the rules, if they were chosen.
    """
    card = segmenter.card
    rules = card_rules(card)
    if smallest:
        rules = best_rules(segmenter, dataset, rules, smallest)
    images, pieces, rows = [], [], []
    by_class: dict[int, Matching] = {}
    for i in range(len(dataset)):
        sample = dataset[i]
        finder = ObjectFinder(estimator(sample, segmenter))
        objects = finder.find(rules, with_probability=True)
        assert objects is not None and objects.probability is not None
        matching = match(objects.labels, sample.labels, sample.unknown)
        images.append(matching)
        parts = _pieces(objects.probability > rules.foreground, rules.smallest)
        pieces.append(match(parts, sample.labels, sample.unknown))
        if len(card.classes) > 1:
            _add(by_class, objects.labels, objects.classes, sample)
        rows.append(_row(sample.record.name, matching))
    figures = matching_figures(images)
    if images:
        figures["pq_pieces"] = sum(pieces, Matching()).pq
    figures |= {f"pq_{card.classes[k - 1]}": by_class[k].pq for k in sorted(by_class)}
    assert card.objects is not None
    kept = {"seed_height": rules.seed_height, "smallest": rules.smallest}
    chosen = {"objects": card.objects.model_copy(update=kept)} if smallest else {}
    return Validation(float("nan"), figures, tuple(rows), chosen=chosen)


def best_rules(
    segmenter: Segmenter,
    dataset: Dataset[ObjectSample],
    rules: SeparationRules,
    smallest: Sequence[int],
) -> SeparationRules:
    """Choose seed height and smallest object: the highest panoptic quality, pooled.

    Parameters
    ----------
    segmenter : Segmenter
        Of a model that tells objects apart.
    dataset : Dataset
        Images with their objects; the first of them, some megapixels, are looked at.
    rules : SeparationRules
        To begin with.
    smallest : sequence of int
        Sizes to choose from.
    """
    looked: list[_Looked] = []
    pixels = 0
    for i in range(len(dataset)):
        sample = dataset[i]
        pixels += sample.labels.size
        if looked and pixels > _SEARCHED:
            break
        finder = ObjectFinder(estimator(sample, segmenter))
        looked.append(_Looked(finder.maps(Box(0, 0, *finder.shape)), sample))
    first = replace(rules, smallest=sorted(smallest)[len(smallest) // 2])
    heights = [replace(first, seed_height=height) for height in _HEIGHTS]
    best = _best(heights, looked)
    return _best([replace(best, smallest=one) for one in smallest], looked)


def smallest_candidates(dataset: Dataset[ObjectSample]) -> tuple[int, ...]:
    """Return sizes that the smallest object may have, in pixels, of the objects to learn."""
    areas = [np.bincount(dataset[i].labels.ravel())[1:] for i in range(len(dataset))]
    every = np.concatenate([np.zeros(0, int), *areas])
    small = float(np.quantile(every, _SMALL)) if len(every) else 1.0
    return tuple(dict.fromkeys(max(1, round(share * small)) for share in _SHARES))


def predicted_objects(
    segmenter: Segmenter, sample: ObjectSample, rules: SeparationRules
) -> npt.NDArray[np.int32]:
    """Return the objects found in an image, int32 (Y, X)."""
    objects = ObjectFinder(estimator(sample, segmenter)).find(rules)
    assert objects is not None
    return objects.labels


@dataclass(frozen=True, eq=False)
class _Looked:
    maps: ObjectMaps
    sample: ObjectSample


def _best(choices: Sequence[SeparationRules], looked: Sequence[_Looked]) -> SeparationRules:
    """Return the rules of the highest panoptic quality; of some that are alike, the first."""
    best, quality = choices[0], -1.0
    for rules in choices:
        pq = sum((_matched(one, rules) for one in looked), Matching()).pq
        if pq > quality + _ALIKE:
            best, quality = rules, pq
    return best


def _matched(one: _Looked, rules: SeparationRules) -> Matching:
    return match(one.maps.separated(rules), one.sample.labels, one.sample.unknown)


def _pieces(foreground: npt.NDArray[np.bool_], smallest: int) -> npt.NDArray[np.int32]:
    """Return what one would find without telling objects apart: connected pieces."""
    from scipy import ndimage

    return without_small(ndimage.label(foreground, _EIGHT)[0], smallest)


def _add(
    by_class: dict[int, Matching],
    labels: npt.NDArray[Any],
    classes: npt.NDArray[Any],
    sample: ObjectSample,
) -> None:
    """Add what was found of each class; objects whose class nobody knows count neither way."""
    known = {i: int(k) for i, k in enumerate(sample.classes, 1) if k}
    predicted = {i: int(k) for i, k in enumerate(classes, 1)}
    hidden = sample.unknown | ((sample.labels > 0) & ~np.isin(sample.labels, list(known)))
    for k, matching in class_matchings(labels, predicted, sample.labels, known, hidden).items():
        by_class[k] = by_class.get(k, Matching()) + matching


def _row(name: str, matching: Matching) -> dict[str, Any]:
    return {
        "image": name,
        "objects": matching.truths,
        "found": matching.predictions,
        "splits": matching.splits,
        "merges": matching.merges,
        "f1_50": matching.f1(),
        "ap_mean": matching.mean_ap,
        "ap_50": matching.ap(),
        "pq": matching.pq,
    }
