"""In a real window, with the mouse and the keys and the bundled model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from skimage import data

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.gui

COIN, OTHER, FIELD = (60, 40), (62, 98), (36, 66)  # two coins, and what lies between them


def ids(window: Any) -> set[int]:
    return set(np.unique(window.state.annotation.data).tolist()) - {0}


# ---- end to end


def test_from_the_first_click_to_a_corrected_object(coins: Any) -> None:
    window, state = coins, coins.state
    before = window.camera()
    window.click(*COIN)
    first = window.mask
    assert first[COIN] and not first[OTHER] and 1000 < first.sum() < 12_000
    window.click(*FIELD, right=True)
    mask = window.mask
    assert (state.n_positive, state.n_negative) == (1, 1) and not mask[FIELD]
    np.testing.assert_allclose(state.positive.data, [COIN], atol=0.7)
    np.testing.assert_allclose(state.negative.data, [FIELD], atol=0.7)
    clicked = window.picture("clicked")
    window.press("accept")
    np.testing.assert_array_equal(state.annotation.data == 1, mask)
    assert state.object_id == 2 and state.n_positive == 0
    accepted = window.picture("accepted")
    assert np.abs(clicked - accepted).max() > 50, "The clicks are gone from the picture."
    window.click(*OTHER)
    window.press("accept")
    assert ids(window) == {1, 2} and state.annotation.data[OTHER] == 2
    window.press("undo")
    assert ids(window) == {1} and state.n_positive == 1
    window.press("redo")
    assert ids(window) == {1, 2}
    window.click(*COIN, held="Shift")
    assert state.editing and state.object_id == 1 and (state.n_positive, state.n_negative) == (1, 1)
    window.press("accept")
    assert ids(window) == {1, 2} and state.object_id == 3
    assert window.camera() == before, "Nothing of all this moved the picture."


def test_through_naparis_proxies_as_plugins_get_the_viewer(
    make_window: Callable[..., Any], make_napari_viewer_proxy: Any, keep_real: Any
) -> None:
    """Also: nobody but the main thread touches a layer, which this fixture watches."""
    proxy = make_napari_viewer_proxy(show=True)
    window = make_window(keep_real, proxy)
    image = proxy.add_image(data.coins(), name="coins")
    window.controller.set_up()
    assert window.state.image == image
    window.controller._clicked(tuple(image.data_to_world(COIN)), True)
    window.settle()
    window.press("accept")
    assert window.state.annotation.data[COIN] == 1
    window.press("undo")
    window.state.positive.add(OTHER)
    window.settle()
    assert window.state.n_positive == 2
    window.state.probability = True
    kinds = ("annotation", "positive", "negative")
    layers = {name: proxy.layers[f"coins {name}"] for name in kinds}
    window.controller.adopt(proxy.layers["coins"], **layers)
    assert len(proxy.layers) == 6 and window.state.n_positive == 2 and window.state.can_undo
    proxy.layers.selection.active = layers["annotation"]
    layers["annotation"].mode = "paint"
    assert not window.state.tool
    proxy.layers.remove(proxy.layers["coins"])
    assert window.state.image is None


TRANSFORMS: tuple[dict[str, Any], ...] = (
    {"scale": (2, 2), "translate": (10, 20)},
    {"scale": (2, 0.7), "rotate": 30, "shear": (0.2,)},
    {"affine": [[0.8, 0.3, 100], [-0.3, 0.9, -50], [0, 0, 1]]},
    {"units": ("um", "um"), "scale": (3, 3)},
)


def test_a_click_lands_on_the_pixel_that_is_drawn_there(
    make_window: Callable[..., Any], fake_model: Any
) -> None:
    """However the image is scaled and turned, by the pixel that the window really shows."""
    window = make_window(fake_model.load)
    for options in TRANSFORMS:
        if "units" in options:
            window.viewer.add_image(np.zeros((10, 10)), units=("nm", "nm"))
        window.open(data.coins(), **options)
        for place in (COIN, OTHER, (200, 300), (1, 1), (301, 382)):
            window.click(*place)
            (click,) = window.controller.prompt().clicks
            assert (click.y, click.x) == pytest.approx(place, abs=1.5), options
            window.press("clear")
        window.viewer.layers.clear()


def test_a_click_lands_on_its_pixel_in_a_turned_stack(
    make_window: Callable[..., Any], fake_model: Any
) -> None:
    window = make_window(fake_model.load)
    window.open(np.random.default_rng(0).random((80, 4, 120)), scale=(2, 9, 1))
    window.viewer.dims.order = (1, 2, 0)
    window.viewer.dims.set_point(1, 18)
    window.viewer.reset_view()
    window.steady()
    window.click(20, 70)
    (click,) = window.controller.prompt().clicks
    assert (click.y, click.x) == pytest.approx((20, 70), abs=1.5)
    np.testing.assert_allclose(window.state.positive.data, [[20, 2, 70]], atol=1.5)
    window.press("propagate")
    assert window.state.plane == 3 and window.state.annotation.data[:, 2].any()
    window.picture("stack")


# ---- the mouse is the click tool's, and napari's again


def test_nothing_moves_but_with_ctrl(coins: Any) -> None:
    before = coins.camera()
    coins.click(*COIN, twice=True)
    assert coins.camera() == before and coins.state.n_positive == 1
    coins.drag(OTHER, (150, 200))
    assert coins.camera() == before and coins.state.n_positive == 2
    assert len(coins.state.drawn) == 1, "it drew a box"
    coins.click(*FIELD, right=True, twice=True)
    assert coins.camera() == before and coins.state.n_negative == 1
    where = coins.at(150, 200)
    coins.drag(OTHER, (150, 200), held="Control")
    assert coins.camera() != before and coins.camera()[-1] == before[-1]
    there = coins.at(*OTHER)
    assert abs(there.x() - where.x()) <= 2 and abs(there.y() - where.y()) <= 2
    assert (coins.state.n_positive, coins.state.n_negative) == (2, 1)


def test_with_alt_napari_zooms_as_ever(coins: Any) -> None:
    before = coins.camera()
    coins.drag(COIN, (150, 200), held="Alt")
    assert coins.camera()[-1] > before[-1] and coins.state.n_positive == 0


def test_without_the_tool_the_mouse_is_naparis(coins: Any) -> None:
    coins.press("tool")
    assert not coins.state.tool
    before = coins.camera()
    coins.drag(COIN, (150, 200))
    assert coins.camera() != before and coins.state.n_positive == 0
    coins.click(*OTHER, twice=True)
    assert coins.camera()[-1] == pytest.approx(2 * before[-1])


def test_labels_are_not_painted_on_under_the_clicks(coins: Any) -> None:
    """A layer in paint mode is quiet while the tool is on, and gets its mode back."""
    layer = coins.state.annotation
    coins.press("tool")
    coins.viewer.layers.selection.active = layer
    layer.mode = "paint"
    coins.press("tool")
    coins.drag(COIN, OTHER)
    assert not layer.data.any() and coins.state.n_positive == 1
    coins.viewer.layers.selection.active = coins.state.positive
    assert layer.mode == "paint"
    coins.viewer.layers.selection.active = layer
    assert layer.mode == "pan_zoom"
    coins.press("tool")
    assert layer.mode == "paint"
    coins.drag(COIN, OTHER)
    assert layer.data.any() and coins.state.n_positive == 1


def test_choosing_a_tool_of_naparis_ends_ours(coins: Any) -> None:
    points = coins.state.positive
    coins.viewer.layers.selection.active = points
    assert coins.state.tool and points.mode == "pan_zoom"
    points.mode = "add"
    assert not coins.state.tool
    coins.click(*COIN)
    assert coins.state.n_positive == 1 and points.mode == "add"
    points.mode = "select"
    points.selected_data = {0}
    coins.drag(COIN, OTHER)
    np.testing.assert_allclose(points.data, [OTHER], atol=1.5)
    assert coins.mask[OTHER]
    coins.press("undo")
    np.testing.assert_allclose(points.data, [COIN], atol=1.5)
    assert coins.mask[COIN]
    coins.press("tool")
    assert coins.state.tool and points.mode == "pan_zoom"


def test_the_region_under_the_pointer_is_taken_up_by_key(coins: Any) -> None:
    from qtpy.QtCore import QPoint
    from qtpy.QtTest import QTest

    for place in (COIN, OTHER):
        coins.click(*place)
        coins.press("accept")

    def pointed() -> bool:
        """Move there until napari knows: vispy drops a move that comes soon after another."""
        for aside in (QPoint(8, 0), QPoint(0, 0)):
            QTest.mouseMove(coins.canvas, coins.at(*COIN) + aside)
            coins.qtbot.wait(15)
        return np.allclose(coins.viewer.cursor.position[-2:], COIN, atol=2)

    coins.qtbot.waitUntil(pointed, timeout=20_000)
    coins.press("take_up")
    assert coins.state.editing and coins.state.object_id == 1


def test_fill_contour_and_probability_look_different(coins: Any) -> None:
    coins.click(*COIN)
    pictures = [coins.picture("fill")]
    for name, action in (("contour", "show"), ("hidden", "show"), ("probability", "probability")):
        coins.press(action)
        pictures.append(coins.picture(name))
    for i, one in enumerate(pictures):
        assert all(np.abs(one - other).max() > 40 for other in pictures[:i])
