"""Boxes, scribbles and lassos by the mouse: one gesture, one step, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_clickseg.core.gestures import DrawnBox, Lasso, Scribble

if TYPE_CHECKING:
    from collections.abc import Callable

PIXEL = 0.75  # of the image, that the mouse is off by at the most
LASSO = ((20, 20), (20, 60), (60, 60), (60, 20))


class Pen:
    """Draws on a bench's image as the click tool says it."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench

    def begin(self, kind: str, *points: tuple[float, float], left: bool = True) -> None:
        tool = self.bench.controller.tool
        tool.begun.emit(kind, self.at(*points[0]), left)
        for point in points[1:]:
            tool.moved.emit(self.at(*point))

    def finish(self) -> None:
        self.bench.controller.tool.released.emit()

    def draw(self, kind: str, *points: tuple[float, float], left: bool = True) -> None:
        self.begin(kind, *points, left=left)
        self.finish()
        self.bench.settle()

    def at(self, y: float, x: float) -> tuple[float, ...]:
        return tuple(self.bench.world(y, x))


@pytest.fixture
def pen(bench: Any, grey: np.ndarray) -> Pen:
    bench.open(grey)
    return Pen(bench)


def gestures(bench: Any) -> tuple[Any, ...]:
    return tuple(bench.controller.prompt().gestures)


def test_a_box_is_the_same_from_whichever_corner_it_is_drawn(pen: Pen) -> None:
    for corners in (((10, 20), (40, 60)), ((40, 20), (10, 60)), ((40, 60), (10, 20))):
        pen.draw("box", *corners)
        (box,) = gestures(pen.bench)
        np.testing.assert_allclose((box.top, box.left, box.bottom, box.right), (10, 20, 40, 60))
        assert pen.bench.mask.any()
        pen.bench.do("undo")
        assert not gestures(pen.bench)


def test_a_gesture_is_one_step_and_stands_in_its_turn_between_clicks(pen: Pen) -> None:
    bench = pen.bench
    bench.click(60, 80)
    pen.draw("scribble", (30, 30), (32, 40), (34, 50))
    bench.click(90, 90, positive=False)
    pen.draw("lasso", *LASSO)
    kinds = ["Click", "Scribble", "Click", "Lasso"]
    assert [type(one).__name__ for one in gestures(bench)] == kinds
    assert (bench.state.n_positive, bench.state.n_negative) == (3, 1)
    for n in (3, 2, 1):
        bench.do("undo")
        assert len(gestures(bench)) == n
        assert len(bench.state.drawn) == n // 2
    for _ in range(3):
        bench.do("redo")
    assert [type(one).__name__ for one in gestures(bench)] == kinds


def test_what_is_drawn_gives_the_mask_that_a_session_gives(
    pen: Pen, grey: np.ndarray, fake_model: Any
) -> None:
    from napari_clickseg.engine.segmenter import Segmenter

    session = Segmenter(fake_model._network(), fake_model.card, device="cpu").start(grey)
    pen.draw("box", (10, 20), (70, 90))
    pen.draw("scribble", (30, 30), (32, 40), (34, 50), left=False)
    for one in gestures(pen.bench):
        session._add(one)
        session.predict()
    np.testing.assert_array_equal(pen.bench.mask, session.predict().mask)


def test_a_negative_button_draws_negative_scribbles_and_lassos(pen: Pen) -> None:
    pen.draw("box", (10, 20), (40, 60), left=False)
    pen.draw("scribble", (10, 20), (40, 60), left=False)
    pen.draw("lasso", *LASSO, left=False)
    assert [(type(one), one.positive) for one in gestures(pen.bench)] == [
        (Scribble, False), (Scribble, False), (Lasso, False)
    ]  # fmt: skip
    pen.bench.do("swap")
    pen.draw("scribble", (10, 20), (40, 60))
    assert not gestures(pen.bench)[-1].positive


def test_an_accepted_object_comes_back_with_what_was_drawn(pen: Pen) -> None:
    bench = pen.bench
    pen.draw("box", (10, 20), (70, 90))
    bench.click(40, 50)
    drawn = bench.state.drawn
    bench.do("accept")
    assert bench.state.n_objects == 1 and bench.state.drawn == ()
    bench.take_up(40, 50)
    assert bench.state.editing and bench.state.drawn == drawn
    assert (bench.state.n_positive, bench.state.n_negative) == (2, 0)
    bench.do("clear")
    assert bench.state.drawn == ()
    bench.do("undo")
    assert bench.state.drawn == drawn


@pytest.mark.parametrize(
    ("kind", "points", "text"),
    [
        ("box", ((10, 20), (10, 60)), "no area"),
        ("box", ((-30, -30), (-10, -10)), "outside the image"),
        ("scribble", ((-30, -30), (-10, -10)), "outside the image"),
        ("lasso", ((-30, -30), (-10, -10), (-30, -10)), "outside the image"),
        ("lasso", ((10, 10), (20, 20)), "goes around nothing"),
        ("lasso", ((10, 10), (20, 20), (30, 30)), "goes around nothing"),
    ],
)
def test_what_is_no_gesture_is_said_in_a_line_and_leaves_all_as_it_was(
    pen: Pen, kind: str, points: tuple[tuple[float, float], ...], text: str
) -> None:
    bench = pen.bench
    bench.click(60, 80)
    before, mask = gestures(bench), bench.mask.copy()
    pen.draw(kind, *points)
    assert text in bench.state.message and "\n" not in bench.state.message
    assert gestures(bench) == before and bench.state.drawing is None
    np.testing.assert_array_equal(bench.mask, mask)


def test_what_leaves_the_image_is_cut_at_it(pen: Pen) -> None:
    pen.draw("box", (-30, -30), (40, 500))
    (box,) = gestures(pen.bench)
    assert box == DrawnBox(-0.5, -0.5, 40, 159.5)
    pen.draw("scribble", (30, 30), (32, 40), (-20, 50), (34, 50))
    assert gestures(pen.bench)[-1].points == ((30, 30), (32, 40), (34, 50))
    assert "left out" in pen.bench.state.message
    pen.draw("lasso", (-20, 20), (60, 20), (60, 60), (-20, 60))
    assert min(y for y, _ in gestures(pen.bench)[-1].points) == -0.5


def test_a_lasso_that_crosses_itself_counts_whole_and_is_said(pen: Pen) -> None:
    pen.draw("lasso", (20, 20), (80, 80), (20, 80), (80, 20))
    assert "crosses itself" in pen.bench.state.message and len(gestures(pen.bench)) == 1
    pen.draw("lasso", *LASSO, (19, 21))
    assert pen.bench.state.message == "", "a hand's ends overlap a little"


def test_what_is_being_drawn_is_shown_and_escape_forgets_it(pen: Pen) -> None:
    bench = pen.bench
    pen.begin("box", (10, 20), (40, 60), (-40, 70))
    shown = bench.state.drawing.points
    assert shown.min(axis=0).tolist() == [-0.5, 20] and shown.max(axis=0).tolist() == [10, 70]
    bench.controller.tool.given_up.emit()
    assert bench.state.drawing is None
    pen.finish()
    assert not gestures(bench) and not bench.state.can_undo


def test_a_second_gesture_while_the_first_is_being_answered_is_not_lost(
    pen: Pen, fake_model: Any
) -> None:
    bench = pen.bench
    fake_model.gate.clear()
    pen.begin("box", (10, 20), (40, 60))
    pen.finish()
    pen.begin("scribble", (30, 30), (32, 40))
    bench.do("accept", wait=False)
    pen.begin("scribble", (90, 90), (92, 99))
    pen.finish()
    fake_model.gate.set()
    bench.settle()
    assert bench.state.n_objects == 1, "the first was accepted"
    assert len(gestures(bench)) == 1, "and the last begins the next object"


@pytest.mark.parametrize("what", ["plane", "3d", "removed"])
def test_who_goes_elsewhere_while_drawing_is_told_and_nothing_breaks(bench: Any, what: str) -> None:
    image = bench.open(np.random.default_rng(0).integers(0, 255, (3, 120, 160), np.uint8))
    pen = Pen(bench)
    pen.begin("scribble", (30, 30), (32, 40))
    at = pen.at(40, 40)
    if what == "plane":
        bench.viewer.dims.set_current_step(0, 2)
    elif what == "3d":
        bench.viewer.dims.ndisplay = 3
    else:
        bench.viewer.layers.remove(image)
    bench.controller.tool.moved.emit(at)
    pen.finish()
    assert "elsewhere" in bench.state.message and bench.state.drawing is None
    if what == "plane":
        assert not bench.pairing.scene.marks
        pen.draw("scribble", (30, 30), (32, 40))
        assert len(gestures(bench)) == 1
        bench.viewer.dims.set_current_step(0, 0)
        bench.settle()
        assert not gestures(bench) and bench.state.drawn == ()
        bench.viewer.dims.set_current_step(0, 2)
        bench.settle()
        assert len(bench.state.drawn) == 1, "it belongs to its plane"


def test_drawing_in_3d_is_refused_as_clicking_is(bench: Any) -> None:
    bench.open(np.zeros((3, 120, 160), np.uint8))
    position = tuple(bench.world(30, 30))
    bench.viewer.dims.ndisplay = 3
    bench.controller.tool.begun.emit("box", position, True)
    assert "2D" in bench.state.message and bench.state.drawing is None


@pytest.mark.parametrize(
    "transform",
    [
        {"scale": (0.5, 2.0), "translate": (40, -7)},
        {"rotate": 30, "scale": (0.2, 0.2)},
        {"shear": [0.4], "translate": (3, 5)},
        {"affine": [[0, 2, 9], [-1, 0.3, 4], [0, 0, 1]]},
    ],
)
def test_what_is_drawn_is_in_data_pixels_under_any_transform(
    bench: Any, grey: np.ndarray, transform: dict[str, Any]
) -> None:
    bench.open(grey, **transform)
    pen = Pen(bench)
    pen.draw("box", (10, 20), (40, 60))
    pen.draw("scribble", (30, 30), (32, 40))
    box, scribble = gestures(bench)
    np.testing.assert_allclose((box.top, box.left, box.bottom, box.right), (10, 20, 40, 60))
    np.testing.assert_allclose(scribble.points, [(30, 30), (32, 40)], atol=1e-6)


# ---- by the mouse


@pytest.fixture
def drawn_by_hand(make_window: Callable[..., Any], fake_model: Any, grey: np.ndarray) -> Any:
    window = make_window(fake_model.load)
    window.open(grey)
    return window


@pytest.mark.gui
def test_dragging_draws_and_nothing_moves(drawn_by_hand: Any) -> None:
    window = drawn_by_hand
    before, n = window.camera(), len(window.viewer.layers)
    active = window.viewer.layers.selection.active
    window.drag((10, 20), (40, 60))
    window.drag((50, 60), (50, 90), (70, 90), held="Shift")
    window.drag((50, 60), (60, 90), right=True)
    window.drag(*LASSO, held="Control+Shift")
    box, scribble, negative, lasso = window.controller.prompt().gestures
    edges = (box.top, box.left, box.bottom, box.right)
    np.testing.assert_allclose(edges, (10, 20, 40, 60), atol=PIXEL)
    assert scribble.positive and not negative.positive
    np.testing.assert_allclose(scribble.points[-1], (70, 90), atol=PIXEL)
    assert isinstance(lasso, Lasso)
    assert window.camera() == before and len(window.viewer.layers) == n
    assert window.viewer.layers.selection.active == active


@pytest.mark.gui
def test_a_flick_that_no_move_was_told_of_draws_up_to_where_it_ends(drawn_by_hand: Any) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    window, button = drawn_by_hand, Qt.MouseButton.LeftButton
    none = Qt.KeyboardModifier.NoModifier
    QTest.mousePress(window.canvas, button, none, window.at(10, 20))
    QTest.mouseRelease(window.canvas, button, none, window.at(40, 60))
    window.settle()
    (box,) = window.controller.prompt().gestures
    edges = (box.top, box.left, box.bottom, box.right)
    np.testing.assert_allclose(edges, (10, 20, 40, 60), atol=PIXEL)


@pytest.mark.gui
def test_a_trembling_hand_clicks(drawn_by_hand: Any) -> None:
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    window, button = drawn_by_hand, Qt.MouseButton.LeftButton
    none, at = Qt.KeyboardModifier.NoModifier, window.at(60, 80)
    QTest.mousePress(window.canvas, button, none, at)
    window._move(at + QPoint(4, -4), button, none)
    QTest.mouseRelease(window.canvas, button, none, at + QPoint(3, 3))
    window.settle()
    (click,) = window.controller.prompt().clicks
    np.testing.assert_allclose((click.y, click.x), (60, 80), atol=PIXEL)


@pytest.mark.gui
def test_escape_gives_a_drag_up_whichever_layer_is_selected(drawn_by_hand: Any) -> None:
    window = drawn_by_hand
    for active in ("image", "annotation", "positive", None):
        escape_gives_a_drag_up(window, None if active is None else getattr(window.state, active))
    escape_gives_a_drag_up(window, window.viewer.add_shapes())


def escape_gives_a_drag_up(window: Any, layer: Any) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    window.viewer.layers.selection.active = layer
    bound = dict(window.viewer.keymap), dict(layer.keymap) if layer is not None else {}

    def escape() -> None:
        assert window.state.drawing is not None
        QTest.keyClick(window.canvas, Qt.Key.Key_Escape)
        assert window.state.drawing is None

    window.drag((10, 20), (40, 60), during=escape)
    assert not window.controller.prompt() and not window.state.can_undo
    now = dict(window.viewer.keymap), dict(layer.keymap) if layer is not None else {}
    assert now == bound, "the key is given back"
    window.drag((10, 20), (40, 60))
    assert len(window.controller.prompt().gestures) == 1
    window.press("undo")


@pytest.mark.gui
def test_escape_gives_a_drag_up_with_the_keys_held_that_draw_it(drawn_by_hand: Any) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    window, none = drawn_by_hand, Qt.KeyboardModifier.NoModifier
    shift, control = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
    held = {"No": none, "Shift": shift, "Control+Shift": control | shift}

    for keys, modifiers in held.items():

        def escape(modifiers: Any = modifiers) -> None:
            assert window.state.drawing is not None
            QTest.keyClick(window.canvas, Qt.Key.Key_Escape, modifiers)
            assert window.state.drawing is None

        window.drag((10, 20), (40, 60), (40, 20), held=keys, during=escape)
        assert not window.controller.prompt() and not window.state.can_undo, keys


@pytest.mark.gui
@pytest.mark.parametrize("what", ["tool", "positive", "image", "deactivate"])
def test_what_happens_in_mid_drag_breaks_nothing(drawn_by_hand: Any, what: str) -> None:
    window = drawn_by_hand
    window.click(60, 80)

    def happen() -> None:
        if what == "tool":
            window.press("tool")
        elif what == "deactivate":
            window.canvas.clearFocus()
        else:
            window.viewer.layers.remove(getattr(window.state, what))

    window.drag((10, 20), (40, 60), during=happen)
    assert window.state.drawing is None
    pairing = window.controller.pairing
    assert (pairing is None) == (what == "image")
    if what == "tool":
        assert len(pairing.scene.marks) == 1
        window.press("tool")
        window.drag((10, 20), (40, 60))
    if pairing is not None:
        assert len(pairing.scene.marks) == 2, "the click and the box"
