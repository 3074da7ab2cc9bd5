from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from default_model.scouting import ScoutingError, fit_scouting
from napari_clickseg.core.clicks import Click
from napari_clickseg.core.intensity import Intensity
from napari_clickseg.core.prompts import Prompt
from napari_clickseg.core.source import ImageSource
from napari_clickseg.core.window import Box, Window
from napari_clickseg.engine.estimate import Looked, Sight
from napari_clickseg.engine.inference import Estimator
from napari_clickseg.engine.scouting import FEATURES, LENGTHS, Scouted, describe, scouting_windows
from napari_clickseg.models.card import ModelCard, ScoutingSpec

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 64


@given(
    shape=st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    looks=st.integers(1, 8),
    factor=st.floats(1.1, 4),
)
def test_windows_come_nearer_and_show_the_click(
    shape: tuple[int, int], place: tuple[float, float], looks: int, factor: float
) -> None:
    at = place[0] * (shape[0] - 1), place[1] * (shape[1] - 1)
    windows = scouting_windows(shape, at, SIZE, 1024, looks, factor)
    assert 1 <= len(windows) <= looks
    spans = [window.span for window in windows]
    assert spans[0] == min(max(shape), 1024)
    assert spans == sorted(spans, reverse=True)
    assert all(span >= min(40, spans[0]) for span in spans)
    for window in windows:
        assert all(-0.5 <= v <= SIZE - 0.5 for v in window.to_network(*at))


def look(
    window: Window, box: Box | None, touches: bool = False, pixels: np.ndarray | None = None
) -> Scouted:
    """What a network that finds a rectangle of the image answers."""
    p = np.zeros((window.size, window.size), np.float32)
    if box is not None:
        top, left = (round(v) for v in window.to_network(box.top, box.left))
        bottom, right = (round(v) for v in window.to_network(box.bottom, box.right))
        p[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = 1
    pixels = p[None] if pixels is None else pixels
    return Scouted(window, p, box or Box(0, 0, 0, 0), touches, pixels)


def test_looks_are_described_by_what_they_found_and_how_they_agree() -> None:
    far, near = Window(0, 0, 256, SIZE), Window(64, 64, 128, SIZE)
    one, other = Box(96, 96, 64, 64), Box(70, 70, 16, 16)
    named = dict(zip(FEATURES, describe([look(far, one), look(near, one)], (128, 128)).T,
                     strict=True))  # fmt: skip
    np.testing.assert_allclose(named["expected overlap"], 1, atol=0.01)
    np.testing.assert_allclose(named["extent"], [-2, -1])
    np.testing.assert_allclose(named["probability at the click"], 1)
    np.testing.assert_allclose(named["distance"], [0, -1])
    assert named["agrees with the next nearer"][0] == named["agrees with the next farther"][1] > 0.9
    assert list(named["is the farthest"]) == [1, 0] and list(named["is the nearest"]) == [0, 1]
    described = describe([look(far, one), look(near, other, True), look(near, None)], (128, 128))
    named = dict(zip(FEATURES, described.T, strict=True))
    assert named["agrees with the next nearer"][0] < 0.1
    assert list(named["touches the border"]) == [0, 1, 0]
    assert list(named["is empty"]) == [0, 0, 1]
    assert list(named["centrality of the click"][1:]) == [0, 0]
    assert np.isfinite(described).all()


@pytest.mark.parametrize("span", [96, 128])
def test_a_click_in_the_middle_is_central_from_any_distance(span: int) -> None:
    corner = 128 - span // 2
    looks = [look(Window(corner, corner, span, SIZE), Box(108, 98, 40, 60))]

    def central(y: float, x: float) -> float:
        return float(dict(zip(FEATURES, describe(looks, (y, x)).T, strict=True))[
            "centrality of the click"
        ][0])  # fmt: skip

    assert central(128, 128) > 0.9
    assert central(128, 120) > 0.9
    assert 0.3 < central(118, 128) < 0.7
    assert central(109, 128) < 0.2
    assert central(104, 128) == 0


def test_what_stands_out_from_its_surroundings_has_more_contrast() -> None:
    window, rng = Window(0, 0, SIZE, SIZE), np.random.default_rng(0)
    pixels = rng.normal(0.5, 0.05, (3, SIZE, SIZE)).astype(np.float32)
    pixels[:, 20:40, 20:40] += 0.4

    def contrast(box: Box | None) -> float:
        looks = [look(window, box, pixels=pixels)]
        return float(describe(looks, (30, 30))[0, FEATURES.index("contrast")])

    whole, part, more = (contrast(Box(*b)) for b in (
        (20, 20, 20, 20), (25, 25, 8, 8), (10, 10, 40, 40)))  # fmt: skip
    assert whole > 3 * max(part, more)
    assert contrast(None) == 0 and contrast(window.box) == 0
    flat = look(window, Box(0, 0, 9, 9), pixels=np.zeros_like(pixels))
    assert describe([flat], (4, 4))[0, FEATURES.index("contrast")] == 0


@pytest.mark.parametrize("length", LENGTHS[:-1])
def test_a_model_that_was_fitted_to_fewer_features_goes_on_as_it_was(
    card: ModelCard, length: int
) -> None:
    weights = np.zeros(length)
    weights[FEATURES.index("number")] = 1  # the nearest look
    before = card.model_copy(update={"scouting": ScoutingSpec(size=32, weights=tuple(weights))})
    longer = (*weights, *([0.0] * (len(FEATURES) - len(weights))))
    now = card.model_copy(update={"scouting": ScoutingSpec(size=32, weights=longer)})
    image, _ = disks(0, 30)
    click = Click(100, 110)
    answers = [first_answer(one, image, click) for one in (before, now, card)]
    assert np.array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])


def near_only(inputs: np.ndarray) -> np.ndarray:
    """A network that sees what is clicked on where it is large, and else takes it all."""
    parts, _ = ndimage.label(inputs[0] > 0.5)
    clicked = np.unique(parts[inputs[-3] > 0])
    mask = np.isin(parts, clicked[clicked > 0])
    if mask.mean() < 0.05:
        mask = inputs[0] >= 0
        return np.where(mask, 0.6, 0.0)[None].astype(np.float32)
    return mask[None].astype(np.float32)


def disks(seed: int, radius: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:512, :512]
    labels = np.zeros((512, 512), int)
    for i, (cy, cx) in enumerate([(100, 110), (300, 180), (210, 400)], 1):
        cy, cx = np.array([cy, cx]) + rng.integers(-20, 20, 2)
        labels[np.hypot(y - cy, x - cx) < radius] = i
    return np.where(labels > 0, 230, 20).astype(np.uint8), labels


class Model:
    """As much of a segmenter as fitting needs."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    def look(self, inputs: np.ndarray, sight: Sight) -> Looked:
        return Looked(near_only(inputs))


@pytest.fixture
def card(make_card: Callable[..., ModelCard]) -> ModelCard:
    return make_card(size=SIZE, window={"first_span": 512}, image_channels=1)


def first_answer(card: ModelCard, image: np.ndarray, click: Click) -> np.ndarray:
    limits = Intensity((0.0,), (255.0,))
    estimator = Estimator(card, ImageSource(image), limits, Model(card).look)
    estimate = estimator.step(Prompt((click,)), None)
    assert estimate is not None
    return estimate.part(Box(0, 0, *image.shape)) > 0.5


def test_fitted_weights_find_objects_that_the_first_look_misses(card: ModelCard) -> None:
    training = [(str(seed), *disks(seed, 18 + seed % 3)) for seed in range(6)]
    spec = fit_scouting(Model(card), training, size=32, looks=5, factor=1.7)  # type: ignore[arg-type]
    assert (spec.size, spec.looks, len(spec.weights)) == (32, 5, len(FEATURES))
    assert np.isfinite(spec.weights).all()
    fitted = card.model_copy(update={"scouting": spec})
    assert ModelCard.from_json(fitted.model_dump_json()) == fitted
    image, labels = disks(77, 19)
    truth = labels == 2
    y, x = np.argwhere(truth).mean(0)
    answer = first_answer(fitted, image, Click(y, x))
    without = first_answer(card, image, Click(y, x))
    assert (answer & truth).sum() / (answer | truth).sum() > 0.8
    assert (without & truth).sum() / (without | truth).sum() < 0.5


class FineOnly(Model):
    """Sees an object's exact outline only in a window as large as the network's own."""

    def look(self, inputs: np.ndarray, sight: Sight) -> Looked:
        mask = near_only(inputs)
        if inputs.shape[-1] < SIZE:
            mask = ndimage.binary_dilation(mask[0] > 0.5, iterations=2)[None].astype(np.float32)
        return Looked(mask)


def test_what_is_chosen_is_looked_at_again_where_that_was_found_to_help(card: ModelCard) -> None:
    training = [(str(seed), *disks(seed, 24)) for seed in range(4)]
    spec = fit_scouting(FineOnly(card), training, size=32)  # type: ignore[arg-type]
    assert spec.second_look
    assert not fit_scouting(Model(card), training, size=SIZE).second_look  # type: ignore[arg-type]
    image, labels = disks(77, 36)
    click = Click(*np.argwhere(labels == 2).mean(0))
    areas = []
    for second_look in (False, True):
        scouting = spec.model_copy(update={"second_look": second_look})
        asked: list[int] = []
        model = FineOnly(card.model_copy(update={"scouting": scouting}))

        def ask(inputs: np.ndarray, sight: Sight, model: FineOnly = model) -> Looked:
            asked.append(inputs.shape[-1])  # noqa: B023
            return model.look(inputs, sight)

        limits = Intensity((0.0,), (255.0,))
        estimator = Estimator(model.card, ImageSource(image), limits, ask)
        prompt = Prompt((click,))
        answer = estimator.step(prompt, None)
        assert answer is not None
        assert asked.count(SIZE) == second_look
        assert estimator.step(prompt, None) is not None
        assert asked.count(SIZE) == second_look, "what was seen is kept"
        areas.append(int((answer.part(Box(0, 0, *image.shape)) > 0.5).sum()))
    true = int((labels == 2).sum())
    assert abs(areas[1] - true) < 0.5 * abs(areas[0] - true)


def test_weights_of_another_version_are_left_alone(card: ModelCard) -> None:
    other = card.model_copy(update={"scouting": ScoutingSpec(weights=(1.0, 2.0))})
    image, _ = disks(0, 100)
    first = Click(100, 110)
    assert np.array_equal(first_answer(other, image, first), first_answer(card, image, first))


def test_without_objects_there_is_nothing_to_fit(card: ModelCard) -> None:
    empty = [("none", np.zeros((64, 64), np.uint8), np.zeros((64, 64), int))]
    with pytest.raises(ScoutingError):
        fit_scouting(Model(card), empty)  # type: ignore[arg-type]
