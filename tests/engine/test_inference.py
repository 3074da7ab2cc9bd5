from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_clickseg.core.clicks import Click
from napari_clickseg.core.intensity import Intensity
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.prompts import Prompt
from napari_clickseg.core.source import ImageSource
from napari_clickseg.core.window import Box, Window
from napari_clickseg.engine.devices import DeviceError, choose_device, prepare
from napari_clickseg.engine.estimate import Estimate, Looked, Sight
from napari_clickseg.engine.inference import Estimator

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.models.card import ModelCard

SIZE = 64


def bright(inputs: np.ndarray) -> np.ndarray:
    """A network that finds what is bright."""
    return (inputs[:-3].mean(0, keepdims=True) > 0.5).astype(np.float32)


def clicked(inputs: np.ndarray) -> np.ndarray:
    """A network that finds the bright parts with a positive click and no negative one."""
    parts, _ = ndimage.label(inputs[0] > 0.5)
    wanted = set(np.unique(parts[inputs[-3] > 0])) - set(np.unique(parts[inputs[-2] > 0])) - {0}
    return np.isin(parts, list(wanted))[None].astype(np.float32)


def echo(inputs: np.ndarray) -> np.ndarray:
    """A network that answers with the previous mask."""
    return inputs[-1:].copy()


def nothing(inputs: np.ndarray) -> np.ndarray:
    return np.zeros_like(inputs[:1])


def ask(network: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray, Sight], Looked]:
    """Ask a network that gives nothing but probabilities."""
    return lambda inputs, sight: Looked(network(inputs))


@pytest.fixture
def estimator(make_card: Callable[..., ModelCard]) -> Callable[..., Estimator]:
    def make(
        image: np.ndarray, network: Callable[[np.ndarray], np.ndarray], **window: float
    ) -> Estimator:
        card = make_card(size=SIZE, window=window, image_channels=1)
        return Estimator(card, ImageSource(image), Intensity((0.0,), (255.0,)), ask(network))

    return make


def scene(shape: tuple[int, int], *boxes: Box) -> np.ndarray:
    image = np.zeros(shape, np.uint8)
    for box in boxes:
        image[box.slices] = 255
    return image


def prompt(*clicks: tuple[float, float] | tuple[float, float, bool]) -> Prompt:
    return Prompt(tuple(Click(*click) for click in clicks))


def answer(estimator: Estimator, asked: Prompt) -> Estimate:
    """Answer click after click, as a session does."""
    estimate = None
    for n in range(asked.settled, len(asked.clicks) + 1):
        estimate = estimator.step(asked.first(n), estimate)
    assert estimate is not None
    return estimate


def mask(estimate: Estimate, shape: tuple[int, int]) -> np.ndarray:
    return estimate.part(Box(0, 0, *shape)) > 0.5


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


# Where the network looks


@pytest.mark.parametrize("side", [3, 8, 30, 100, 200])
def test_the_window_zooms_in_on_a_small_object(
    estimator: Callable[..., Estimator], side: int
) -> None:
    image = scene((1000, 1200), Box(400, 500, side, side))
    estimate = answer(estimator(image, bright), prompt((400 + side // 2, 500 + side // 2)))
    wanted = max(48, 1.4 * side)
    assert 0.75 * wanted <= estimate.window.span <= 1.6 * wanted
    assert iou(mask(estimate, image.shape), image > 0) > 0.9


@pytest.mark.parametrize("side", [300, 600, 900])
def test_the_window_widens_until_the_object_does_not_touch_its_border(
    estimator: Callable[..., Estimator], side: int
) -> None:
    """The first look shows 256 pixels; at one click it looks as often as need be."""
    image = scene((2000, 2000), Box(700, 800, side, side))
    estimate = answer(estimator(image, bright), prompt((700 + side // 2, 800 + side // 2)))
    assert estimate.window.box.contains(Box(700, 800, side, side))
    assert estimate.window.span <= 2.3 * side
    assert iou(mask(estimate, image.shape), image > 0) > 0.95


def test_an_object_at_the_images_border_does_not_widen_the_window(
    estimator: Callable[..., Estimator],
) -> None:
    image = scene((1000, 1000), Box(0, 0, 60, 60))
    estimate = answer(estimator(image, bright), prompt((20, 20)))
    assert estimate.window.span <= 100
    assert (estimate.window.top, estimate.window.left) == (0, 0)


def test_the_window_stops_growing_at_the_largest_span(
    estimator: Callable[..., Estimator],
) -> None:
    image = scene((3000, 3000), Box(100, 100, 2800, 2800))
    estimate = answer(estimator(image, bright, largest_span=800), prompt((1500, 1500)))
    assert estimate.window.span == 800
    assert estimate.window.box.contains(Box(1500, 1500, 1, 1))


def test_a_click_outside_the_window_moves_it(estimator: Callable[..., Estimator]) -> None:
    near, far = Box(100, 100, 40, 40), Box(700, 900, 40, 40)
    image = scene((1000, 1000), near, far)
    first = answer(estimator(image, clicked), prompt((120, 120)))
    assert not first.window.box.contains(far)
    both = answer(estimator(image, clicked), prompt((120, 120), (720, 920)))
    assert both.window.box.contains(near.union(far))
    assert iou(mask(both, image.shape), image > 0) > 0.6


def test_a_click_outside_the_window_moves_it_where_nothing_was_found(
    estimator: Callable[..., Estimator],
) -> None:
    image = scene((1000, 1000))
    look = estimator(image, nothing, smallest_span=16)
    assert answer(look, prompt((100, 100))).window.span <= SIZE // 2
    estimate = answer(look, prompt((100, 100), (800, 850)))
    assert estimate.window.box.contains(Box.of_pixels([(100, 100), (800, 850)]))


def test_where_nothing_is_found_it_looks_closer_at_the_click(
    estimator: Callable[..., Estimator],
) -> None:
    estimate = answer(estimator(scene((1000, 1000)), nothing), prompt((500, 600)))
    assert estimate.window.span <= 48
    assert estimate.window.box.contains(Box(500, 600, 1, 1))


def test_a_stray_click_far_away_does_not_take_the_window_off_the_object(
    estimator: Callable[..., Estimator],
) -> None:
    box = Box(2500, 2500, 50, 50)
    image = scene((3000, 3000), box)
    look = estimator(image, bright, largest_span=512)
    alone = answer(look, prompt((2520, 2520)))
    for stray in ((10, 10, False), (10, 10, True)):
        estimate = answer(look, prompt((2520, 2520), stray))
        assert estimate.window == alone.window
        assert iou(mask(estimate, image.shape), image > 0) > 0.9


def test_specks_do_not_widen_the_window_unless_they_are_clicked(
    estimator: Callable[..., Estimator],
) -> None:
    box, speck = Box(400, 400, 80, 80), Box(360, 340, 10, 10)
    image = scene((1000, 1000), box, speck)
    plain = answer(estimator(image, bright), prompt((440, 440)))
    assert not plain.window.box.contains(speck)
    asked = answer(estimator(image, bright), prompt((440, 440), (365, 345)))
    assert asked.window.box.contains(box.union(speck))


def test_what_the_network_sees_outside_the_image_is_no_object(
    estimator: Callable[..., Estimator],
) -> None:
    """A network that finds everything finds the image."""
    look = estimator(scene((40, 200)), lambda inputs: np.ones_like(inputs[:1]))
    estimate = answer(look, prompt((20, 100)))
    assert estimate.extent(0.01, (40, 200)) == Box(0, 0, 40, 200)
    assert estimate.window.span <= 1.4 * 200


def test_what_is_found_outside_the_image_does_not_keep_the_window_wide(
    estimator: Callable[..., Estimator],
) -> None:
    """Outside the image all is black; a network that finds what is dark finds that, too."""
    image = 255 - scene((30, 400), Box(10, 100, 12, 12))
    estimate = answer(estimator(image, lambda x: 1.0 - x[:1]), prompt((15, 105)))
    assert estimate.window.span <= 60


def test_the_window_stays_while_it_is_good_enough(estimator: Callable[..., Estimator]) -> None:
    """So the mask does not flicker from click to click."""
    image = scene((1000, 1000), Box(400, 400, 100, 100))
    look = estimator(image, bright)
    clicks = [(450, 450), (410, 420), (480, 490), (405, 405, False), (495, 440)]
    windows = {answer(look, prompt(*clicks[:n])).window for n in range(1, 6)}
    assert len(windows) == 1


# What the network is shown


def test_clicks_are_stamped_where_their_pixels_are_shown(
    estimator: Callable[..., Estimator],
) -> None:
    seen: list[np.ndarray] = []

    def watch(inputs: np.ndarray) -> np.ndarray:
        seen.append(inputs)
        return bright(inputs)

    image = scene((300, 300), Box(100, 120, 60, 60), Box(0, 0, 1, 1))
    look = estimator(image, watch)
    estimate = answer(look, prompt((130, 150), (110, 125), (90, 115, False)))
    inputs, window = seen[-1], estimate.window
    assert inputs.shape == (4, SIZE, SIZE)
    for channel, pixels in ((-3, [(130, 150), (110, 125)]), (-2, [(90, 115)])):
        rows, columns = np.nonzero(inputs[channel])
        radius = look.card.disk_radius
        near = np.zeros(len(rows), bool)
        for pixel in pixels:
            y, x = window.to_network(*pixel)
            distance = np.hypot(rows - y, columns - x)
            assert distance.min() < 1
            near |= distance <= radius + 1
        assert near.all()
    expected = [window.to_network(y, x) for y, x in ((100, 120), (159, 179))]
    rows, columns = np.nonzero(inputs[0] > 0.5)
    assert (rows.min(), columns.min()) == pytest.approx(expected[0], abs=2)
    assert (rows.max(), columns.max()) == pytest.approx(expected[1], abs=2)


def test_the_previous_mask_moves_with_the_window(estimator: Callable[..., Estimator]) -> None:
    """A network that repeats the previous mask keeps it in place while the window moves."""
    box = Box(300, 300, 80, 60)
    start = Patch.of(np.ones(box.shape), offset=(box.top, box.left))
    look = estimator(scene((1000, 1000)), echo)
    clicks = (Click(330, 330), Click(350, 480), Click(520, 330, False))
    asked = Prompt(clicks, start)
    windows = set()
    for n in range(1, len(clicks) + 1):
        estimate = answer(look, asked.first(n))
        windows.add(estimate.window)
        assert iou(mask(estimate, (1000, 1000)), start.cut(Box(0, 0, 1000, 1000))) > 0.85
    assert len(windows) == 3


def test_a_closer_look_knows_what_the_look_before_it_found(
    estimator: Callable[..., Estimator],
) -> None:
    """Otherwise a network that is unsure without a previous mask finds less at each look."""
    seen: list[np.ndarray] = []

    def watch(inputs: np.ndarray) -> np.ndarray:
        seen.append(inputs)
        return bright(inputs)

    answer(estimator(scene((900, 900), Box(430, 430, 40, 40)), watch), prompt((450, 450)))
    assert seen[0][-1].max() == 0
    assert len(seen) > 1
    for inputs in seen[1:]:
        assert iou(inputs[-1] > 0.5, inputs[0] > 0.5) > 0.6


def test_a_starting_mask_is_the_previous_mask_of_a_model_of_several_classes(
    make_card: Callable[..., ModelCard],
) -> None:
    seen: list[np.ndarray] = []

    def watch(inputs: np.ndarray) -> np.ndarray:
        seen.append(inputs)
        return np.full((3, SIZE, SIZE), 1 / 3, np.float32)

    card = make_card(size=SIZE, image_channels=1, classes=("cell", "bud"))
    image = ImageSource(scene((SIZE, SIZE)))
    look = Estimator(card, image, Intensity((0.0,), (255.0,)), ask(watch))
    start = Patch.of(np.ones((20, 20)), offset=(10, 10))
    look.step(Prompt((Click(15, 15),), start), None)
    assert seen[0][-1].max() == pytest.approx(1)
    assert seen[0][-1].mean() == pytest.approx((20 / 48) ** 2, rel=0.05)


# When there is nothing to go by


def test_without_a_positive_click_or_a_mask_there_is_no_answer(
    estimator: Callable[..., Estimator],
) -> None:
    look = estimator(scene((100, 100), Box(10, 10, 30, 30)), bright)
    assert look.step(Prompt(), None) is None
    assert look.step(prompt((20, 20, False)), None) is None
    start = Patch.of(np.ones((3, 3)))
    assert look.step(Prompt((), start), None) is None
    assert look.step(Prompt((Click(1, 1),), start, 1), None) is None


def test_a_negative_click_on_a_starting_mask_is_answered(
    estimator: Callable[..., Estimator],
) -> None:
    look = estimator(scene((100, 100), Box(10, 10, 30, 30)), bright)
    assert look.step(Prompt((Click(50, 50, False),), Patch.of(np.ones((3, 3)))), None) is not None


def test_an_automatic_model_that_finds_nothing_goes_on_looking_at_the_whole(
    make_card: Callable[..., ModelCard],
) -> None:
    card = make_card(size=SIZE, image_channels=1, automatic=True)
    image = ImageSource(scene((300, 200)))
    look = Estimator(card, image, Intensity((0.0,), (255.0,)), ask(nothing))
    for asked in (Prompt(), prompt((20, 20, False))):
        estimate = answer(look, asked)
        assert estimate.window.visible((300, 200)) == Box(0, 0, 300, 200)
        assert not estimate.extent(0.01, (300, 200))


def test_a_window_is_read_once_however_often_it_is_looked_at(
    estimator: Callable[..., Estimator],
) -> None:
    look = estimator(scene((500, 500), Box(200, 200, 50, 50)), bright)
    read: list[Window] = []
    source_read = look.source.read

    def counted(window: Window, part: Box | None = None) -> object:
        read.append(window)
        return source_read(window, part)

    look.source.read = counted  # type: ignore[method-assign, assignment]
    for _ in range(3):
        answer(look, prompt((225, 225), (230, 230)))
    assert len(read) == len(set(read)) <= 3


# Estimates


def test_the_extent_leaves_out_nothing_above_the_least_probability() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        shape = tuple(rng.integers(1, 120, 2))
        window = Window(*rng.integers(-20, 60, 2), int(rng.integers(1, 150)), 32)
        probability = np.zeros((1, 32, 32), np.float32)
        rows, columns = rng.integers(0, 32, (2, 3))
        probability[0, rows, columns] = 1
        estimate = Estimate(window, probability)
        extent = estimate.extent(0.01, shape)
        visible = window.visible(shape)
        assert visible.contains(extent)
        if visible:
            whole = window.to_box(probability[0], visible)
            outside = np.ones(shape, bool)
            outside[extent.slices] = False
            assert whole[outside[visible.slices]].max(initial=0) <= 0.01


def test_an_estimate_says_nothing_beyond_its_window() -> None:
    estimate = Estimate(Window(10, 10, 32, 32), np.ones((1, 32, 32), np.float32))
    part = estimate.part(Box(0, 0, 60, 60))
    assert part[10:42, 10:42].min() == 1
    assert part.sum() == 32 * 32
    assert estimate.part(Box(50, 50, 3, 3)).max() == 0


def test_the_class_of_a_pixel_is_the_most_probable_of_the_foregrounds() -> None:
    probabilities = np.zeros((3, 32, 32), np.float32)
    probabilities[0] = 0.6
    probabilities[1, :, :16], probabilities[2, :, :16] = 0.3, 0.1
    probabilities[1, :, 16:], probabilities[2, :, 16:] = 0.1, 0.3
    estimate = Estimate(Window(0, 0, 32, 32), probabilities)
    np.testing.assert_allclose(estimate.foreground, 0.4)
    wanted = np.zeros((32, 32), bool)
    wanted[4:8] = True
    classes = estimate.classes(Box(0, 0, 32, 32), wanted)
    assert set(classes[4:8, :16].ravel()) == {1}
    assert set(classes[4:8, 16:].ravel()) == {2}
    assert classes[~wanted].max() == 0


# Devices


@pytest.mark.parametrize("name", ["tpu", "", "cuda:abc", None])
def test_what_is_no_device_is_said_so(name: str) -> None:
    with pytest.raises(DeviceError, match="is not a device; choose auto, cpu, cuda or mps"):
        choose_device(name)


@pytest.mark.parametrize("name", ["cuda:99", "meta", "xpu"])
def test_a_device_that_is_not_there_is_said_so(name: str) -> None:
    with pytest.raises(DeviceError, match=r"no device '.*' here; choose auto or cpu"):
        choose_device(name)


def test_auto_takes_what_is_there() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    if torch.cuda.is_available():
        assert choose_device("auto") == torch.device("cuda")
    elif not torch.backends.mps.is_available():
        assert choose_device("auto") == torch.device("cpu")
        with pytest.raises(DeviceError, match="choose auto or cpu"):
            choose_device("cuda")


def test_a_network_is_ready_for_the_cards_input(make_card: Callable[..., ModelCard]) -> None:
    network = torch.nn.Conv2d(6, 1, 3).train()
    ready, device = prepare(network, make_card(), torch.device("cpu"))
    assert device.type == "cpu"
    assert not ready.training
