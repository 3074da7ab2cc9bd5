"""AP, F1, panoptic quality, splits and merges: against a count by brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from napari_clickseg.evaluation.matching import (
    THRESHOLDS,
    Matching,
    class_matchings,
    match,
    matching_figures,
)

Labels = npt.NDArray[Any]
maps = arrays(np.uint8, (7, 9), elements=st.integers(0, 5))


def ids(labels: Labels) -> list[int]:
    return [int(one) for one in np.unique(labels) if one]


def by_assignment(labels: Labels, truth: Labels, threshold: float) -> tuple[int, int, int, float]:
    """Return TP, FP, FN and the sum of the IoUs, by assigning objects to each other."""
    predicted, there = ids(labels), ids(truth)
    ious = np.zeros((len(predicted), len(there)))
    for i, one in enumerate(predicted):
        for j, other in enumerate(there):
            a, b = labels == one, truth == other
            ious[i, j] = (a & b).sum() / (a | b).sum()
    good = np.where(ious > threshold, ious, 0)
    rows, columns = linear_sum_assignment(-good)
    hits = [good[i, j] for i, j in zip(rows, columns, strict=True) if good[i, j]]
    return len(hits), len(predicted) - len(hits), len(there) - len(hits), float(sum(hits))


def share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def pieces(labels: Labels, truth: Labels) -> int:
    """Count objects of the truth in which at least two of the labels mostly lie."""
    count = 0
    for one in ids(truth):
        inside = 0
        for other in ids(labels):
            shared = ((truth == one) & (labels == other)).sum()
            inside += shared > (labels == other).sum() / 2 and shared >= (truth == one).sum() / 10
        count += inside > 1
    return count


@given(maps, maps)
def test_figures_are_those_of_an_assignment_by_brute_force(labels: Labels, truth: Labels) -> None:
    matching = match(labels, truth)
    for threshold in THRESHOLDS:
        tp, fp, fn, _ = by_assignment(labels, truth, threshold)
        assert matching.true_positives(threshold) == tp
        assert matching.ap(threshold) == share(tp, tp + fp + fn)
        assert matching.f1(threshold) == share(2 * tp, 2 * tp + fp + fn)
        assert matching.precision(threshold) == share(tp, tp + fp)
        assert matching.recall(threshold) == share(tp, tp + fn)
    tp, fp, fn, total = by_assignment(labels, truth, 0.5)
    assert matching.pq == pytest.approx(share(total, tp + fp / 2 + fn / 2))
    assert matching.splits == pieces(labels, truth) and matching.merges == pieces(truth, labels)


@given(maps, maps)
def test_what_was_found_and_the_truth_change_places(labels: Labels, truth: Labels) -> None:
    one, other = match(labels, truth), match(truth, labels)
    assert (one.ious, one.pq, one.mean_ap) == (other.ious, other.pq, other.mean_ap)
    assert (one.splits, one.precision()) == (other.merges, other.recall())


@given(maps, maps, st.integers(1, 2**40))
def test_ids_are_names_alone(labels: Labels, truth: Labels, far: int) -> None:
    renamed = np.where(labels > 0, labels.astype(np.int64) * 7919 + far, 0)
    assert match(renamed, truth) == match(labels, truth)


@given(maps)
def test_the_truth_itself_is_perfect(truth: Labels) -> None:
    matching = match(truth, truth)
    assert set(matching.figures().values()) == {1.0} and matching.splits == matching.merges == 0


@given(maps, maps, maps)
def test_unknown_pixels_count_neither_way(labels: Labels, truth: Labels, hidden: Labels) -> None:
    unknown = hidden > 3
    matching = match(labels, truth, unknown)
    others = np.random.default_rng(0).integers(6, 9, truth.shape)
    assert match(labels, np.where(unknown, others, truth), unknown) == matching
    mostly = [
        one for one in ids(labels) if 2 * unknown[labels == one].sum() > (labels == one).sum()
    ]
    seen = np.where(unknown | np.isin(labels, mostly), 0, labels)
    assert matching == match(seen, np.where(unknown, 0, truth))


@given(st.lists(st.tuples(maps, maps), max_size=4))
def test_pooled_figures_are_those_of_one_image_with_all_in_it(pairs: list[Any]) -> None:
    images = [match(*pair) for pair in pairs]
    if not pairs:
        assert matching_figures(images) == {}
        return

    def beside(k: int) -> Labels:
        maps = [
            np.where(pair[k] > 0, pair[k] + np.int64(10 * i), 0) for i, pair in enumerate(pairs)
        ]
        return np.hstack(maps)

    apart = beside(0), beside(1)
    whole, figures = match(*apart), matching_figures(images)
    assert {name: figures[name] for name in whole.figures()} == pytest.approx(whole.figures())
    assert figures["pq_imagewise"] == pytest.approx(np.mean([one.pq for one in images]))
    assert figures["splits"] == whole.splits / max(1, whole.truths)


def test_an_empty_image_that_is_found_empty_is_right_and_one_object_in_it_is_wrong() -> None:
    nothing, something = np.zeros((3, 3), int), np.eye(3, dtype=int)
    assert match(nothing, nothing).pq == match(nothing, nothing).ap() == 1
    assert match(something, nothing).pq == match(something, nothing).ap() == 0


def test_an_object_in_two_halves_is_split_and_two_taken_for_one_are_merged() -> None:
    halves, whole = np.repeat([[1, 2]], 4, axis=1), np.full((1, 8), 1)
    assert match(halves, whole) == Matching(1, 2, (), splits=1)
    assert match(whole, halves) == Matching(2, 1, (), merges=1)


def test_a_speck_in_an_object_splits_nothing() -> None:
    truth = np.ones((4, 10), int)
    labels = truth.copy()
    labels[0, :3] = 2
    assert match(labels, truth).splits == 0


def test_objects_of_another_class_do_not_match() -> None:
    labels = np.repeat([[1, 2]], 4, axis=1)
    matchings = class_matchings(labels, {1: 1, 2: 1}, labels, {1: 1, 2: 2})
    assert (matchings[1].pq, matchings[2].pq) == (pytest.approx(2 / 3), 0)


def test_ten_thousand_objects_take_no_table_of_all_pairs() -> None:
    labels = np.arange(1, 40_001).reshape(200, 200).repeat(2, 0).repeat(2, 1)
    assert match(labels, labels).true_positives() == 40_000


def test_maps_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        match(np.zeros((2, 3), int), np.zeros((3, 2), int))
