"""How unsure a model is: 0 where it is certain, 1 where all is as likely, where things are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import entropy

from napari_clickseg.core.uncertainty import mean_entropy, pixel_entropy

SHARES = hnp.arrays(np.float32, (4, 5, 6), elements=st.floats(0.125, 1, width=32))


@given(SHARES)
def test_of_classes_it_is_the_entropy_of_their_distribution(values: np.ndarray) -> None:
    shares = values / values.sum(axis=0)
    assert np.allclose(pixel_entropy(shares), entropy(shares, axis=0) / np.log(4), atol=1e-5)


@given(hnp.arrays(np.float32, (1, 5, 6), elements=st.floats(0, 1, width=32)))
def test_of_one_object_it_is_the_binary_entropy(values: np.ndarray) -> None:
    both = np.stack([values[0], 1 - values[0]])
    assert np.allclose(pixel_entropy(values), entropy(both, axis=0, base=2), atol=1e-5)
    assert np.allclose(pixel_entropy(values), pixel_entropy(1 - values), atol=1e-5)


def test_of_classes_that_overlap_the_least_certain_counts() -> None:
    values = np.array([0.1, 0.9, 0.5], np.float32).reshape(3, 1, 1)
    assert pixel_entropy(values, overlapping=True) == pytest.approx(1)


@given(SHARES)
def test_the_mean_is_a_share_and_turning_the_image_changes_nothing(values: np.ndarray) -> None:
    shares = values / values.sum(axis=0)
    mean = mean_entropy(shares)
    assert 0 <= mean <= 1
    assert mean_entropy(np.rot90(shares, axes=(1, 2))) == pytest.approx(mean, abs=1e-5)


def square(inner: float, outer: float = 0.0, side: int = 60) -> np.ndarray:
    out = np.full((1, side, side), outer, np.float32)
    out[0, 20:40, 20:40] = inner
    return out


def test_what_was_found_counts_and_not_how_much_background_there_is() -> None:
    assert mean_entropy(square(0.6)) == pytest.approx(mean_entropy(square(0.6, side=600)))
    assert mean_entropy(square(1.0)) == pytest.approx(0, abs=1e-6)
    assert mean_entropy(square(0.6)) > mean_entropy(square(0.8)) > mean_entropy(square(0.95))


def test_doubts_near_what_was_found_count_and_those_far_away_do_not() -> None:
    near, far = square(1.0), square(1.0)
    near[0, 41, 20:40] = 0.4
    far[0, 55, 20:40] = 0.4
    assert mean_entropy(near) > mean_entropy(far) == pytest.approx(0, abs=1e-6)


def test_an_object_that_was_nearly_found_counts() -> None:
    assert mean_entropy(square(0.45)) > 0.5
    assert mean_entropy(square(0.001)) < 0.02


def test_what_is_outside_of_the_image_does_not_count() -> None:
    values = square(1.0)
    values[0, :10] = 0.5
    inside = np.ones((60, 60), bool)
    inside[:15] = False
    assert mean_entropy(values, inside) == pytest.approx(0, abs=1e-6)
    assert mean_entropy(values, np.zeros((60, 60), bool)) == 0
