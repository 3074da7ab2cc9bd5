from __future__ import annotations

import gc
import threading
import weakref
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor, nn

import napari_clickseg as clickseg
from napari_clickseg.core.clicks import Click, ClickError
from napari_clickseg.core.intensity import measure
from napari_clickseg.core.masks import Refinement
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.prompts import Prompt
from napari_clickseg.core.source import ImageError
from napari_clickseg.core.window import Box
from napari_clickseg.engine.segmenter import DeviceError, Prediction, Segmenter, Session, Superseded

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.models.card import ModelCard

    Make = Callable[..., Segmenter]

SHAPE = (90, 130)
CLICKS = st.tuples(st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1), st.booleans())


def texture(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    sigma = (3, 3, 0)[: len(shape)]
    smooth = ndimage.gaussian_filter(noise, sigma)
    return (128 + 40 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


def disk(shape: tuple[int, int], middle: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(y - middle[0], x - middle[1]) < radius


def same(a: Prediction, b: Prediction) -> bool:
    return (
        np.array_equal(a.mask, b.mask)
        and np.array_equal(a.probability, b.probability)
        and np.array_equal(a.labels, b.labels)
    )


class Counting(nn.Module):
    """Finds what is bright, and counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.runs += 1
        return 20 * (inputs[:, :1] - 0.5)


@pytest.fixture
def counting(make_card: Callable[..., ModelCard]) -> tuple[Segmenter, Counting]:
    network = Counting()
    segmenter = Segmenter(network, make_card(), device="cpu")
    network.runs = 0
    return segmenter, network


# The law: what is predicted depends on the image, the starting mask and the clicks alone


@settings(max_examples=40)
@given(
    st.lists(CLICKS, min_size=1, max_size=32),
    st.sets(st.integers(0, 31)),
    st.sets(st.integers(0, 31)),
    st.booleans(),
)
def test_it_does_not_matter_when_the_prediction_is_asked_for(
    random_segmenter: Make,
    clicks: list[tuple[int, int, bool]],
    looks: set[int],
    undone: set[int],
    from_mask: bool,
) -> None:
    """After every click, after some, or once at the end; also after undo and redo."""
    segmenter = random_segmenter()
    mask = disk(SHAPE, (40, 50), 15) if from_mask else None
    image = texture()
    at_once, eager = (segmenter.start(image, mask=mask) for _ in range(2))
    for index, click in enumerate(clicks):
        at_once.click(*click)
        eager.click(*click)
        if index in looks:
            eager.predict()
        if index in undone:
            eager.undo()
            eager.predict()
            eager.redo()
    assert same(at_once.predict(), eager.predict())


def test_forgotten_answers_are_worked_out_again(
    random_segmenter: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is remembered saves time and changes nothing."""
    segmenter = random_segmenter()
    clicks = [(i * 7 % 90, i * 11 % 130, i % 3 > 0) for i in range(12)]
    remembering, forgetting = segmenter.start(texture()), segmenter.start(texture())
    for click in clicks:
        remembering.click(*click)
        forgetting.click(*click)
        expected = remembering.predict()
        monkeypatch.setattr("napari_clickseg.engine.session._REMEMBERED", 1)
        assert same(forgetting.predict(), expected)
        monkeypatch.undo()


def test_the_order_of_clicks_counts_but_not_the_way_to_it(random_segmenter: Make) -> None:
    session = random_segmenter().start(texture())
    session.click(30, 40)
    session.click(50, 60, False)
    session.click(70, 80)
    straight = session.predict()
    session.reset()
    session.predict()
    for y, x, positive in ((30, 40, True), (1, 1, True)):
        session.click(y, x, positive)
    session.undo()
    session.click(50, 60, False)
    session.click(70, 80)
    assert same(session.predict(), straight)


def test_a_session_has_no_part_in_another(random_segmenter: Make) -> None:
    segmenter = random_segmenter()
    alone = segmenter.start(texture(seed=1))
    alone.click(20, 20)
    expected = alone.predict()
    one, other = segmenter.start(texture(seed=1)), segmenter.start(texture(seed=2))
    other.click(20, 20)
    other.predict()
    one.click(20, 20)
    assert same(one.predict(), expected)


def test_any_thread_gets_the_same_answer(random_segmenter: Make) -> None:
    session = random_segmenter().start(texture())
    prompts = [Prompt((Click(10.0 * n, 12.0 * n), Click(5, 5, n % 2 > 0))) for n in range(1, 9)]
    expected = [session.evaluate(prompt) for prompt in prompts]
    fresh = random_segmenter().start(texture())
    predictions: dict[int, Prediction] = {}

    def work(index: int) -> None:
        predictions[index] = fresh.evaluate(prompts[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(predictions[index], expected[index]) for index in range(8))


@pytest.mark.parametrize("channels", [(), (3,), (5,)])
def test_numpy_dask_and_zarr_are_segmented_alike(
    random_segmenter: Make, channels: tuple[int, ...]
) -> None:
    image = texture((300, 400, *channels))
    chunks = (64, 64, *channels)
    stored = zarr.create_array({}, shape=image.shape, chunks=chunks, dtype=image.dtype)
    stored[:] = image
    predictions = []
    for kind in (image, da.from_array(image, chunks=chunks), stored, [image], [stored]):
        session = random_segmenter().start(kind)
        session.click(150, 170)
        session.click(20, 390, False)
        predictions.append(session.predict())
    assert predictions[0].mask.any()
    assert all(same(p, predictions[0]) for p in predictions[1:])


@pytest.mark.parametrize("offset", [(1000, 2000), (1001, 2003)])
def test_an_object_is_segmented_alike_wherever_it_lies(
    random_segmenter: Make, offset: tuple[int, int]
) -> None:
    """A cut-out of a large image, and the large image: the same mask in the same place."""
    small = texture((400, 500))
    large = np.full((2500, 3500), 128, np.uint8)
    large[offset[0] : offset[0] + 400, offset[1] : offset[1] + 500] = small
    masks = []
    for image, (dy, dx) in ((small, (0, 0)), (large, offset)):
        session = random_segmenter(window={"first_span": 100, "largest_span": 120}).start(
            image, contrast_limits=(20, 230)
        )
        session.click(200 + dy, 250 + dx)
        session.click(215 + dy, 240 + dx, False)
        masks.append(session.predict().mask[dy : dy + 400, dx : dx + 500])
    assert masks[0].any()
    assert (masks[0] != masks[1]).sum() <= 3


# Clicks, masks and steps


def test_a_click_is_answered_with_what_is_under_it(bright_segmenter: Make) -> None:
    truth = disk((300, 400), (120, 200), 40)
    session = bright_segmenter().start((truth * 200 + 20).astype(np.uint8))
    assert not session.predict().mask.any()
    session.click(120.0, 200.0)
    prediction = session.predict()
    assert (prediction.mask & truth).sum() / (prediction.mask | truth).sum() > 0.95
    assert prediction.mask.dtype == bool
    assert prediction.mask.shape == (300, 400)
    assert prediction.probability.dtype == np.float32
    np.testing.assert_array_equal(prediction.labels, prediction.mask)
    np.testing.assert_array_equal(prediction.patch.cut(Box(0, 0, 300, 400)), prediction.mask)


@settings(max_examples=40)
@given(
    st.lists(CLICKS, min_size=1, max_size=8),
    st.builds(
        Refinement,
        threshold=st.sampled_from([0.1, 0.5, 0.9]),
        smooth=st.sampled_from([0.0, 1.5]),
        fill_holes=st.booleans(),
        keep_clicked=st.booleans(),
    ),
)
def test_every_click_is_obeyed_on_its_pixel(
    random_segmenter: Make, clicks: list[tuple[int, int, bool]], refinement: Refinement
) -> None:
    session = random_segmenter().start(texture())
    session.refinement = refinement
    for click in clicks:
        session.click(*click)
    mask = session.predict().mask
    if any(positive for *_, positive in clicks):
        for pixel, positive in {(y, x): positive for y, x, positive in clicks}.items():
            assert mask[pixel] == positive
    else:
        assert not mask.any()


def test_a_positive_click_is_in_the_mask_of_a_network_that_finds_nothing(
    make_card: Callable[..., ModelCard],
) -> None:
    class Blind(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return torch.full_like(inputs[:, :1], -20)

    session = Segmenter(Blind(), make_card(), device="cpu").start(texture())
    session.click(3, 4)
    session.click(80, 120)
    session.click(40, 50, positive=False)
    assert np.argwhere(session.predict().mask).tolist() == [[3, 4], [80, 120]]


def test_negative_clicks_alone_give_an_empty_mask(random_segmenter: Make) -> None:
    session = random_segmenter().start(texture())
    session.click(10, 10, positive=False)
    prediction = session.predict()
    assert not prediction.mask.any()
    assert not prediction.box


@pytest.mark.parametrize("where", [(-1, 0), (0, -0.6), (90, 0), (0, 129.5), (np.nan, 0)])
def test_a_click_outside_the_image_changes_nothing(
    random_segmenter: Make, where: tuple[float, float]
) -> None:
    session = random_segmenter().start(texture())
    with pytest.raises(ClickError, match=r"click on the image|give numbers"):
        session.click(*where)
    assert session.clicks == ()
    with pytest.raises(ClickError, match=r"from \(0, 0\) to \(89, 129\); click on the image"):
        session.evaluate(Prompt((Click(500, 500),)))


def test_accepting_returns_the_mask_and_begins_anew_and_can_be_undone(
    random_segmenter: Make,
) -> None:
    session = random_segmenter().start(texture())
    session.click(40, 50)
    session.click(60, 70, False)
    before = session.predict()
    patch = session.commit()
    assert patch == before.patch
    assert session.clicks == ()
    assert not session.predict().mask.any()
    session.undo()
    assert len(session.clicks) == 2
    assert same(session.predict(), before)
    session.redo()
    assert session.clicks == ()


def test_undo_goes_back_over_everything_and_redo_forth(random_segmenter: Make) -> None:
    session = random_segmenter().start(texture())
    predictions = [session.predict()]
    steps: list[Callable[[], object]] = [
        lambda: session.click(40, 50),
        lambda: session.click(60, 70, False),
        session.commit,
        lambda: session.start_from(disk(SHAPE, (30, 30), 10)),
        lambda: session.click(35, 35),
        session.reset,
        lambda: session.click(80, 100),
    ]
    for step in steps:
        step()
        predictions.append(session.predict())
    for expected in reversed(predictions[:-1]):
        session.undo()
        assert same(session.predict(), expected)
    session.undo()
    assert same(session.predict(), predictions[0])
    for expected in predictions[1:]:
        session.redo()
        assert same(session.predict(), expected)


def test_a_session_begins_with_the_mask_that_is_there(random_segmenter: Make) -> None:
    mask = disk(SHAPE, (40, 60), 20)
    for given_mask in (mask, mask.astype(np.int32) * 7, mask.astype(float)):
        prediction = random_segmenter().start(texture(), mask=given_mask).predict()
        np.testing.assert_array_equal(prediction.mask, mask)
        np.testing.assert_array_equal(prediction.labels, mask)
    session = random_segmenter().start(texture())
    session.start_from(Patch.of(mask))
    np.testing.assert_array_equal(session.predict().mask, mask)
    session.start_from(None)
    assert not session.predict().mask.any()


def test_an_empty_mask_is_nothing_to_start_from(random_segmenter: Make) -> None:
    session = random_segmenter().start(texture(), mask=np.zeros(SHAPE))
    assert session.history.present == Prompt()


def test_a_mask_changes_what_a_click_means(random_segmenter: Make) -> None:
    """A negative click alone is no answer; on a mask it is a correction."""
    mask = disk(SHAPE, (40, 60), 20)
    session = random_segmenter().start(texture(), mask=mask)
    session.click(40, 60, positive=False)
    prediction = session.predict()
    assert prediction.mask.any()
    assert not prediction.mask[40, 60]


@pytest.mark.parametrize("shape", [(90, 129), (130, 90), (90, 130, 1), (5,)])
def test_a_mask_of_another_shape_is_refused(random_segmenter: Make, shape: tuple[int, ...]) -> None:
    segmenter = random_segmenter()
    with pytest.raises(ImageError, match="give a mask of the same image"):
        segmenter.start(texture(), mask=np.ones(shape))
    session = segmenter.start(texture())
    with pytest.raises(ImageError, match="give a mask of the same image"):
        session.start_from(np.ones(shape))
    with pytest.raises(ImageError, match="give a mask of the same image"):
        session.start_from(Patch.of(np.ones((3, 3)), offset=(88, 0)))
    assert session.history.present == Prompt()


def test_an_object_that_is_taken_up_again_keeps_its_mask_until_the_next_click(
    random_segmenter: Make,
) -> None:
    session = random_segmenter().start(texture())
    patch = Patch.of(disk(SHAPE, (40, 60), 12))
    clicks = (Click(40, 60), Click(10, 10, False))
    session.history = session.history.start_from(patch, clicks)
    assert session.predict().patch == patch
    session.click(45, 65)
    corrected = session.predict()
    assert corrected.patch != patch
    assert corrected.mask[45, 65]
    assert not corrected.mask[10, 10]


def test_an_object_that_is_taken_up_again_keeps_only_clicks_that_its_mask_agrees_with(
    random_segmenter: Make,
) -> None:
    """It may have been painted on: its mask stays, and no positive click lies outside it."""
    session = random_segmenter().start(texture())
    painted = disk(SHAPE, (40, 60), 12)
    painted[38:43, 58:63] = False  # over a positive click
    painted[8:12, 8:12] = True  # and a negative one
    clicks = [Click(40, 60), Click(10, 10, False), Click(45, 65), Click(9, 90, False)]
    session.history = session.history.start_from(Patch.of(painted), tuple(clicks))
    np.testing.assert_array_equal(session.predict().mask, painted)
    assert session.clicks == tuple(clicks[2:])
    assert session.history.present.settled == 2


# What changed


ACTIONS = st.one_of(
    CLICKS, st.sampled_from(["undo", "redo", "reset", "commit", "mask", "refine", "look"])
)


@settings(max_examples=60)
@given(st.lists(st.tuples(ACTIONS, st.booleans()), min_size=1, max_size=14))
def test_outside_the_box_nothing_changed(
    random_segmenter: Make, steps: list[tuple[Any, bool]]
) -> None:
    """So a viewer that writes only the box of each prediction shows the whole mask.

    However many steps lie between two predictions.
    """
    session = random_segmenter().start(texture())
    canvas = np.zeros(SHAPE, bool)
    for action, drawn in [*steps, ("look", True)]:
        if isinstance(action, tuple):
            session.click(*action)
        elif action == "mask":
            session.start_from(disk(SHAPE, (60, 90), 14))
        elif action == "refine":
            session.refinement = Refinement(threshold=0.2, keep_clicked=True)
        elif action == "look":
            session.evaluate(Prompt((Click(1, 1),)))
        else:
            getattr(session, action)()
        if drawn:
            prediction = session.predict()
            canvas[prediction.box.slices] = prediction.mask[prediction.box.slices]
            np.testing.assert_array_equal(canvas, prediction.mask)


def test_accepting_an_object_that_was_not_drawn_leaves_nothing_of_the_one_before(
    make_card: Callable[..., ModelCard],
) -> None:
    shape = (900, 900)
    image = (disk(shape, (50, 50), 20) | disk(shape, (800, 800), 20)) * np.uint8(200)
    session = Segmenter(Counting(), make_card(), device="cpu").start(image)
    canvas = np.zeros(shape, bool)

    def draw() -> None:
        prediction = session.predict()
        canvas[prediction.box.slices] = prediction.mask[prediction.box.slices]

    session.click(50, 50)
    draw()
    assert canvas[50, 50]
    session.reset()
    session.click(800, 800)
    session.commit()
    draw()
    assert not canvas.any()


# Models of several classes, automatic ones, and coloured clicks


def test_a_model_of_several_classes_names_the_class_of_each_pixel(
    random_segmenter: Make,
) -> None:
    session = random_segmenter(classes=("cell", "bud"), seed=3).start(texture())
    assert not session.predict().mask.any()
    session.click(40, 50)
    prediction = session.predict()
    np.testing.assert_array_equal(prediction.labels > 0, prediction.mask)
    assert set(np.unique(prediction.labels)) <= {0, 1, 2}
    assert prediction.labels.dtype == np.uint8
    assert ((prediction.probability >= 0) & (prediction.probability <= 1)).all()


def test_an_automatic_model_needs_no_click(random_segmenter: Make) -> None:
    fields: dict[str, Any] = {"classes": ("cell", "bud"), "automatic": True, "seed": 3}
    session = random_segmenter(**fields).start(texture())
    automatic = session.predict()
    assert automatic.mask.any()
    y, x = np.argwhere(automatic.mask)[0]
    session.click(y, x, positive=False)
    assert not session.predict().mask[y, x]
    session.undo()
    assert same(session.predict(), automatic)
    assert not random_segmenter(classes=("cell", "bud"), seed=3).start(texture()).predict().box


def test_coloured_clicks_are_seen_by_a_network_of_three_channels(
    random_segmenter: Make,
) -> None:
    segmenter = random_segmenter(encoding="colour", image_channels=1)
    session = segmenter.start(texture())
    session.click(40, 50)
    positive = session.predict()
    session.click(42, 58, positive=False)
    assert not np.array_equal(session.predict().probability, positive.probability)
    grey = np.repeat(texture()[:, :, None], 3, 2)
    in_colour = segmenter.start(grey)
    in_colour.click(40, 50)
    np.testing.assert_allclose(in_colour.predict().probability, positive.probability, atol=1e-4)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_coloured_clicks_need_a_monochrome_image(random_segmenter: Make, channels: int) -> None:
    segmenter = random_segmenter(encoding="colour", image_channels=1)
    with pytest.raises(ImageError, match=r"takes monochrome images .*choose one channel"):
        segmenter.start(texture((*SHAPE, channels)))


# Intensities


def test_the_intensities_are_measured_once_or_taken_from_the_caller(
    bright_segmenter: Make,
) -> None:
    image = texture().astype(np.uint16)
    session = bright_segmenter().start(image)
    assert session.intensity is session.intensity
    assert session.intensity == measure(session.source)
    limited = bright_segmenter().start(image, contrast_limits=(100, 200))
    assert (limited.intensity.low, limited.intensity.high) == ((100,), (200,))
    seen = limited.seen_image()
    assert seen.shape == (*SHAPE, 1)
    np.testing.assert_allclose(seen[:, :, 0], ((image - 100.0) / 100).clip(0, 1), atol=1e-6)
    limited.click(40, 50)
    session.click(40, 50)
    assert not np.array_equal(limited.predict().mask, session.predict().mask)


def test_notices_are_those_of_the_image(bright_segmenter: Make) -> None:
    assert bright_segmenter().start(texture()).notices == ()
    assert len(bright_segmenter().start(texture((*SHAPE, 4))).notices) == 1


# Work that is not done


def test_the_network_runs_for_new_clicks_only(counting: tuple[Segmenter, Counting]) -> None:
    segmenter, network = counting
    session = segmenter.start(texture())
    session.predict()
    assert network.runs == 0
    session.click(40, 50)
    session.predict()
    after_one = network.runs
    assert 1 <= after_one <= 4
    session.refinement = Refinement(threshold=0.3, smooth=1, fill_holes=True)
    session.predict()
    session.undo()
    session.predict()
    session.redo()
    session.predict()
    assert network.runs == after_one


def test_a_hundred_clicks_cost_thirty_looks(counting: tuple[Segmenter, Counting]) -> None:
    segmenter, network = counting
    session = segmenter.start(texture())
    for i in range(100):
        session.click(i % 90, i, True)
    session.predict()
    assert network.runs <= 4 + 30 * 2


def test_what_nobody_wants_any_more_is_given_up_and_what_was_done_is_kept(
    counting: tuple[Segmenter, Counting],
) -> None:
    segmenter, network = counting
    prompt = Prompt(tuple(Click(40 + n, 50) for n in range(6)))
    whole = segmenter.start(texture())
    expected = whole.evaluate(prompt)
    runs = network.runs
    session = segmenter.start(texture())
    network.runs = 0
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 4

    with pytest.raises(Superseded):
        session.evaluate(prompt, stop=stop)
    assert 0 < network.runs < runs
    assert same(session.evaluate(prompt), expected)
    assert network.runs == runs


# Beginning and end


def test_a_closed_segmenter_gives_its_network_back_and_says_so(
    make_card: Callable[..., ModelCard],
) -> None:
    network = Counting()
    segmenter = Segmenter(network, make_card(), device="cpu")
    session = segmenter.start(texture())
    session.click(40, 50)
    session.predict()
    gone = weakref.ref(network)
    del network
    segmenter.close()
    segmenter.close()
    gc.collect()
    assert gone() is None
    session.click(60, 60)
    with pytest.raises(RuntimeError, match="was closed; load it again"):
        session.predict()


def test_a_device_that_is_not_there_is_refused_in_one_line() -> None:
    for device in ("cuda:99", "abacus"):
        with pytest.raises(DeviceError, match="choose auto") as caught:
            clickseg.load_segmenter("default", device)
        assert "\n" not in str(caught.value)


def test_the_default_model_outlines_what_is_clicked() -> None:
    """The bundled model, as a user gets it: one click on a plain object, and a correction."""
    truth = disk((240, 320), (100, 140), 45)
    rng = np.random.default_rng(0)
    image = np.where(truth, 190, 70) + rng.normal(0, 6, truth.shape)
    segmenter = clickseg.load_segmenter("default", device="cpu")
    session = segmenter.start(image.clip(0, 255).astype(np.uint8))
    assert not session.predict().mask.any()
    session.click(100, 140)
    prediction = session.predict()
    overlap = (prediction.mask & truth).sum() / (prediction.mask | truth).sum()
    assert overlap > 0.8
    session.click(20, 300, positive=False)
    assert not session.predict().mask[20, 300]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_half_precision_on_cuda_gives_the_same_mask_and_the_memory_comes_back() -> None:
    image = texture((600, 800))
    masks = []
    for device in ("cpu", "cuda"):
        before = torch.cuda.memory_allocated()
        segmenter = clickseg.load_segmenter("default", device=device)
        session = segmenter.start(image)
        for click in ((300, 400, True), (310, 500, False), (250, 380, True)):
            session.click(*click)
        masks.append(session.predict().mask)
        assert segmenter.half or device == "cpu"
        segmenter.close()
        del segmenter, session
        gc.collect()
        assert torch.cuda.memory_allocated() <= before
    assert (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum() > 0.95


def test_half_precision_on_a_processor_gives_the_same_mask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from skimage import data

    monkeypatch.setattr("napari_clickseg.engine.segmenter.quick_dtype", lambda _: torch.bfloat16)
    masks = []
    for half in (False, True):
        segmenter = clickseg.load_segmenter("default", "cpu", half=half)
        assert segmenter.half == half
        session = segmenter.start(data.coins())
        session.click(54, 346)
        masks.append(session.predict().mask)
    assert masks[0].any()
    assert (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum() > 0.95


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_network_that_half_precision_is_too_small_for_runs_in_full(
    make_card: Callable[..., ModelCard],
) -> None:
    class Large(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(6, 4, 1, bias=False)
            self.second = nn.Conv2d(4, 1, 1, bias=False)
            with torch.no_grad():
                self.first.weight.fill_(1e6)
                self.second.weight.fill_(1e-6)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.second(self.first(inputs))

    segmenter = Segmenter(Large(), make_card(), device="cuda")
    session: Session = segmenter.start(texture())
    session.click(40, 50)
    assert np.isfinite(session.predict().probability).all()
    assert not segmenter.half


def test_a_network_that_is_too_wide_for_its_narrow_twin_runs_in_full(
    make_card: Callable[..., ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(6, 1, 1), nn.BatchNorm2d(1)

        def forward(self, inputs: Tensor) -> Tensor:
            out: Tensor = self.norm(self.conv(inputs))
            # What clicks everywhere bring is more than bfloat16 takes in this network.
            everywhere = bool((inputs[:, 3] == 1).all())
            return out * torch.inf if inputs.dtype != torch.float32 and everywhere else out

    monkeypatch.setattr("napari_clickseg.engine.segmenter.quick_dtype", lambda _: torch.bfloat16)
    monkeypatch.setattr("napari_clickseg.engine.devices.quick_dtype", lambda _: torch.bfloat16)
    torch.manual_seed(0)
    segmenter = Segmenter(Normalised(), make_card(), device="cpu")
    clicked = np.ones((6, 64, 64), np.float32)
    assert np.isfinite(segmenter.forward(0.5 * clicked)).all()
    assert segmenter.half
    assert np.isfinite(segmenter.forward(clicked)).all()
    assert not segmenter.half
