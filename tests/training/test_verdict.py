"""A sentence says no more than its figures do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_clickseg.training.verdict import Measured, Measurement, gain_interval, judged


def clicks(pairs: list[tuple[float | None, float]], images: int, **more: Any) -> Measurement:
    each = tuple(
        Measured(f"{k % images}.png", after, before) for k, (before, after) in enumerate(pairs)
    )
    return Measurement("clicks", each, **more)


def test_fewer_clicks_in_all_images_are_said_with_their_number_and_how_sure_it_is() -> None:
    verdict = judged(clicks([(7, 4), (8, 6), (6, 4), (9, 5)] * 6, 8))
    assert verdict.kind == "better"
    assert verdict.text == (
        "It helped: an object takes 4.8 clicks to an IoU of 0.85 instead of 7.5, 2.8 fewer "
        "(24 objects in 8 images; 95 % interval: 2.2 to 3.4 fewer)."
    )


def test_more_clicks_are_no_help_and_the_model_from_before_is_named() -> None:
    verdict = judged(clicks([(4, 7), (6, 8)] * 8, 8, start="default"))
    assert verdict.kind == "worse"
    assert verdict.text.startswith("It did not help: an object takes 7.5 clicks")
    assert "2.5 more (16 objects in 8 images; 95 % interval: 2.1 to 2.9 more)" in verdict.text
    assert verdict.advice[0] == "Go on with the model from before (default)."


def test_a_difference_that_goes_both_ways_is_not_sure() -> None:
    verdict = judged(clicks([(4, 7), (8, 4)] * 8, 8))
    assert verdict.kind == "unsure"
    assert "Whether it helped is not sure" in verdict.text and "which may be chance" in verdict.text
    assert " more to " in verdict.text and " fewer)" in verdict.text


@pytest.mark.parametrize("images", [1, 2, 5])
def test_few_images_are_never_sure_however_alike_they_are(images: int) -> None:
    verdict = judged(clicks([(9, 2)] * 30, images))
    assert verdict.kind == "unsure"
    assert "are too few to tell that from chance" in verdict.text
    assert "at least 6" in verdict.advice[-1]


def test_images_of_one_group_count_once() -> None:
    measurement = clicks([(9, 2)] * 30, 10)
    planes = tuple(replace(one, group=str(int(one.image[0]) % 2)) for one in measurement.each)
    verdict = judged(replace(measurement, each=planes))
    assert verdict.kind == "unsure" and "30 objects in 10 images of 2 groups" in verdict.text


def test_no_difference_is_said_to_be_none() -> None:
    verdict = judged(clicks([(4, 4)] * 16, 8))
    assert verdict.kind == "same" and verdict.text.startswith("It changed hardly anything")
    assert "kind that the project has not got yet" in verdict.advice[0]


def test_without_a_model_before_there_is_nothing_to_compare_with() -> None:
    verdict = judged(clicks([(None, 4)], 1, why_alone="it started from scratch"))
    assert verdict.kind == "alone"
    assert verdict.text == (
        "There is nothing to compare with, as it started from scratch: an object takes 4.0 clicks "
        "to an IoU of 0.85 (1 object in 1 image)."
    )


def test_nothing_measured_is_said() -> None:
    assert judged(Measurement("clicks", ())).kind == "unmeasured"


def test_dice_is_better_where_it_is_larger() -> None:
    each = tuple(Measured(f"{k}.png", 0.8 + k / 100, 0.7) for k in range(8))
    better = judged(Measurement("dice", each))
    assert better.kind == "better"
    assert "the Dice of an image is 0.835 instead of 0.700, 0.135 better (8 images;" in better.text
    turned = tuple(Measured(one.image, 0.7, one.after) for one in each)
    assert judged(Measurement("dice", turned)).kind == "worse"


def test_what_to_do_next_comes_from_the_figures() -> None:
    each = [Measured(f"{k}.png", 3.0, 6.0, kind="cell") for k in range(10)]
    each += [Measured("9.png", 20.0, 20.0, kind="bud")] * 2
    verdict = judged(Measurement("clicks", tuple(each), findings=("a.png has holes.", "b", "c")))
    assert verdict.advice == (
        "Mend what Check found: a.png has holes. (and 2 more)",
        "2 objects of 12 took 20 clicks: open images like 9.png in Annotate, click where the model "
        "misses, accept, train again.",
        "Annotate more of the class “bud”: an object takes 20.0 clicks there, 3.0 elsewhere.",
    )
    image = judged(Measurement("clicks", tuple(replace(one, kind="") for one in each)))
    assert "Annotate more images like 9.png: an object takes 14.3 clicks there" in image.advice[1]
    task = Measurement("dice", (Measured("a.png", 0.5),), "x", (("cell", 0.9), ("bud", 0.4)))
    assert "class “bud”: the Dice is 0.400 there, 0.900 elsewhere" in judged(task).advice[0]


def test_equally_good_models_are_seldom_told_apart() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.integers(1, 20, (200, 24, 2)).astype(float)
    told = [judged(clicks([(b, a) for b, a in one.tolist()], 8)).kind for one in drawn]
    assert sum(kind in ("better", "worse") for kind in told) <= 20, "5 % are expected of 200"


numbers = st.integers(1, 20).map(float)
PAIRS = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(PAIRS, st.integers(1, 15))
def test_no_improvement_is_claimed_where_the_interval_includes_none(
    pairs: list[tuple[float, float]], images: int
) -> None:
    verdict = judged(clicks(list(pairs), images))
    groups = [pairs[k::images] for k in range(min(images, len(pairs)))]
    totals = np.array([sum(b - a for b, a in some) for some in groups])
    low, high = gain_interval(totals, np.array([float(len(some)) for some in groups]))
    assert verdict.text.startswith("It helped") == (verdict.kind == "better")
    assert verdict.text.startswith("It did not help") == (verdict.kind == "worse")
    if low <= 0:
        assert verdict.kind != "better"
    if high >= 0:
        assert verdict.kind != "worse"
    assert verdict.advice, "it always ends with what to do next"
