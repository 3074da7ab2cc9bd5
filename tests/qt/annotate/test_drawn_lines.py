"""What is drawn is seen: live, on the image's place, in the clicks' colours, and goes cleanly."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_clickseg._napari.annotate.lines import Outline, mask_outline
from napari_clickseg._napari.viewer.layers import NEGATIVE, POSITIVE
from napari_clickseg.core.window import Box

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.gui
GREEN, RED = (
    tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5)) for colour in (POSITIVE, NEGATIVE)
)


def near(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Return where a picture has a colour: (n, 2) rows and columns."""
    return np.argwhere(np.abs(picture[..., :3].astype(int) - colour).max(axis=-1) < 40)


def world_box(viewer: Any, layer: Any, y: tuple[float, float], x: tuple[float, float]) -> Any:
    """Return the range of canvas pixels (rows, columns) that a box of data pixels lies in."""
    visual = viewer.window._qt_viewer.canvas.layer_to_visual[layer]
    corners = [(a - 0.0, b - 0.0) for a in x for b in y]
    flip = viewer.dims.displayed[0] > viewer.dims.displayed[1]
    transform = visual.node.get_transform("visual", "canvas")
    mapped = [transform.map((b, a) if flip else (a, b)) for a, b in corners]
    at = np.array([(m[1] / m[3], m[0] / m[3]) for m in mapped])
    return at.min(axis=0), at.max(axis=0)


def test_a_box_is_seen_where_it_was_drawn(open_annotate: Callable[..., Any], qtbot: Any) -> None:
    viewer, widget = open_annotate()
    for transform in ({}, {"scale": (0.5, 2.0), "translate": (40, -7)}, {"rotate": 90}):
        image = viewer.add_image(
            np.zeros((96, 128), np.uint8), contrast_limits=(0, 255), **transform
        )
        widget.context.controller.set_up(image)
        for order in ((0, 1), (1, 0)):
            viewer.dims.order = order
            viewer.reset_view()
            draw_a_box(viewer, widget, image, qtbot)
        viewer.layers.clear()


def draw_a_box(viewer: Any, widget: Any, image: Any, qtbot: Any) -> None:
    controller, state = widget.context.controller, widget.context.state
    state.shown = "hidden"
    n = len(viewer.layers)
    tool = controller.tool
    tool.begun.emit("box", tuple(image.data_to_world((30, 40))), True)
    tool.moved.emit(tuple(image.data_to_world((70, 100))))

    def seen() -> None:
        green = near(viewer.screenshot(canvas_only=True, flash=False), GREEN)
        low, high = world_box(viewer, state.positive, (30, 70), (40, 100))
        ratio = viewer.window._qt_viewer.canvas.native.devicePixelRatioF()
        assert len(green) > 50
        np.testing.assert_allclose(green.min(axis=0) / ratio, low, atol=4)
        np.testing.assert_allclose(green.max(axis=0) / ratio, high, atol=4)

    for _ in range(2):  # while it is drawn, and when it is
        qtbot.waitUntil(seen, timeout=20_000)
        if state.drawing is not None:
            tool.released.emit()
            qtbot.waitUntil(lambda: not state.busy)
    assert len(viewer.layers) == n, "no layer was made for it"
    controller.do(controller_action("undo"))
    qtbot.waitUntil(lambda: green_pixels(viewer) == 0, timeout=20_000)


def green_pixels(viewer: Any) -> int:
    return len(near(viewer.screenshot(canvas_only=True, flash=False), GREEN))


def controller_action(name: str) -> Any:
    from napari_clickseg._napari.viewer.actions import Action

    return Action(name)


def test_negative_lines_are_red_and_broken(open_annotate: Callable[..., Any], qtbot: Any) -> None:
    viewer, widget = open_annotate()
    image = viewer.add_image(np.zeros((96, 128), np.uint8), contrast_limits=(0, 255))
    widget.context.controller.set_up(image)
    viewer.reset_view()
    line = np.array([(48.0, 10.0), (48.0, 110.0)])
    widget.context.state.drawing = Outline(line, positive=False)

    def broken() -> None:
        red = near(viewer.screenshot(canvas_only=True, flash=False), RED)
        columns = np.unique(red[:, 1])
        assert np.diff(columns).max(initial=0) > 2, "there are gaps"
        assert len(columns) > 0.3 * np.ptp(columns)

    qtbot.waitUntil(broken, timeout=20_000)


def test_lines_go_with_the_layers_of_the_clicks_and_with_the_widget(
    open_annotate: Callable[..., Any], qtbot: Any
) -> None:
    viewer, widget = open_annotate()
    image = viewer.add_image(np.zeros((96, 128), np.uint8), contrast_limits=(0, 255))
    controller, state = widget.context.controller, widget.context.state
    controller.set_up(image)
    tool = controller.tool
    tool.begun.emit("box", (30.0, 40.0), True)
    tool.moved.emit((70.0, 100.0))
    tool.released.emit()
    qtbot.waitUntil(lambda: not state.busy)
    for positive in ("positive", "negative"):
        viewer.layers.remove(getattr(state, positive))
        qtbot.wait(50)
    controller.set_up(image)
    qtbot.waitUntil(lambda: green_pixels(viewer) > 50, timeout=20_000)
    viewer.window.remove_dock_widget(widget)
    qtbot.waitUntil(lambda: green_pixels(viewer) == 0, timeout=20_000)


def test_the_outline_of_a_mask_is_the_edges_of_its_pixels() -> None:
    ends = mask_outline(np.array([[True, True]]), Box(5, 7, 1, 2)).ends
    assert len(ends) == 6
    assert ends.min(axis=(0, 1)).tolist() == [4.5, 6.5]
    assert ends.max(axis=(0, 1)).tolist() == [5.5, 8.5]
    assert np.abs(np.diff(ends, axis=1)).sum(axis=(1, 2)).tolist() == [1.0] * 6


def test_a_scribble_of_two_thousand_points_does_not_hold_the_window(
    open_annotate: Callable[..., Any], longest_slot: Callable[[Any], float]
) -> None:
    """Lines and all, from the first move to the release; a negative one is in pieces."""
    viewer, widget = open_annotate()
    image = viewer.add_image(np.zeros((120, 160), np.uint8), contrast_limits=(0, 255))
    widget.context.controller.set_up(image)
    tool, slots = widget.context.controller.tool, []
    t = np.linspace(0, 60, 2000)
    way = [tuple(image.data_to_world((60 + 40 * np.sin(s), 20 + 2 * s))) for s in t]

    def timed(act: Callable[..., object], *arguments: Any) -> None:
        began = time.thread_time()
        act(*arguments)
        slots.append(time.thread_time() - began)

    timed(tool.begun.emit, "scribble", way[0], False)
    for place in way[1:]:
        timed(tool.moved.emit, place)
    assert len(widget.context.state.drawing.points) == 2000
    timed(tool.released.emit)
    (scribble,) = widget.context.controller.prompt().gestures
    assert len(scribble.points) == 2000 and not scribble.positive
    assert max(slots) <= longest_slot(viewer), f"{1000 * max(slots):.1f} ms"
