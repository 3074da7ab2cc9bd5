from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.layers import Image

    from napari_clickseg._napari.annotate.controller import AnnotateController
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.state import AnnotateState
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.models.card import ModelCard

PATIENCE = 60.0  # seconds: other things may be running on the machine


class FakeModel:
    """A model that answers at once, late, wrongly or not at all, as a test wants it.

    It outlines a square around every positive click that no negative click takes away, and keeps
    the previous mask, so that its answer depends on each click and on nothing else.
    """

    def __init__(self, make_card: Callable[..., ModelCard], **fields: object) -> None:
        self.card = make_card(size=64, **fields)
        self.forwards = 0
        self.delay = 0.0
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.loads = 0
        self.segmenters: list[Segmenter] = []
        self.load_error: Exception | None = None
        self.load_gate = threading.Event()
        self.load_gate.set()

    def load(self, name: str, device: str, half: bool) -> Segmenter:
        from napari_clickseg.engine.segmenter import Segmenter

        assert self.load_gate.wait(PATIENCE)
        self.loads += 1
        if self.load_error is not None:
            raise self.load_error
        before = self.forwards
        segmenter = Segmenter(self._network(), self.card, device="cpu")
        self.forwards = before  # the one at the start is nobody's click
        self.segmenters.append(segmenter)
        return segmenter

    def _network(self) -> Any:
        import torch
        from torch import Tensor, nn
        from torch.nn.functional import max_pool2d

        fake = self

        class Network(nn.Module):
            def forward(self, inputs: Tensor) -> Tensor:
                if inputs.shape[0] == 1 and fake.segmenters:
                    assert fake.gate.wait(PATIENCE)
                    time.sleep(fake.delay)
                    if fake.error is not None:
                        raise fake.error
                fake.forwards += 1
                positive, negative, previous = inputs[:, -3:-2], inputs[:, -2:-1], inputs[:, -1:]
                grown = max_pool2d(positive, 11, 1, 5) + previous
                inside = torch.clamp(grown, 0, 1) - 2 * max_pool2d(negative, 7, 1, 3)
                return 20 * (inside - 0.5)

        return Network()


class Bench:
    """A viewer without a window, the controller on it, and a user who clicks."""

    def __init__(self, viewer: Any, model: FakeModel | None, **options: Any) -> None:
        from napari_clickseg._napari.annotate.controller import AnnotateController

        self.viewer = viewer
        if model is not None:
            options = {"load": model.load} | options
        self.controller: AnnotateController = AnnotateController(viewer, **options)

    @property
    def state(self) -> AnnotateState:
        return self.controller.state

    @property
    def pairing(self) -> Pairing:
        assert self.controller.pairing is not None, self.state.message
        return self.controller.pairing

    @property
    def labels(self) -> Any:
        assert self.pairing.annotation is not None
        return self.pairing.annotation.data

    @property
    def mask(self) -> np.ndarray | None:
        """The mask of the answer that is shown."""
        prediction = self.pairing.display.prediction
        return None if prediction is None else prediction.mask

    def open(self, data: Any, **options: Any) -> Image:
        """Add an image and set it up; wait for the model."""
        image = self.viewer.add_image(data, **options)
        self.controller.set_up(image)
        assert self.controller.pairing is not None, self.state.message
        self.settle()
        return image

    def wait(self, condition: Callable[[], Any]) -> None:
        """Deliver results until something is so."""
        end = time.monotonic() + PATIENCE
        while True:
            self.controller.deliver()
            if condition():
                return
            assert time.monotonic() < end, "It took too long."
            time.sleep(0.001)

    def settle(self) -> None:
        """Wait until nothing is left to be done."""
        self.wait(lambda: self.controller.runner.idle)

    def world(self, y: float, x: float) -> tuple[float, ...]:
        """Return where a pixel of the displayed plane lies in the world."""
        plane = self.controller.displayed()
        assert plane is not None
        return tuple(self.pairing.image.data_to_world(plane.position(y, x)))

    def click(self, y: float, x: float, positive: bool = True, *, wait: bool = True) -> None:
        """Click on a pixel of the displayed plane."""
        self.controller._clicked(self.world(y, x), positive)
        if wait:
            self.settle()

    def do(self, action: str, *, wait: bool = True) -> None:
        """Press the key of an action."""
        from napari_clickseg._napari.viewer.actions import Action

        self.controller.do(Action(action))
        if wait:
            self.settle()

    def take_up(self, y: float, x: float) -> None:
        """Shift + click on a pixel of the displayed plane."""
        self.controller._take_up_at(self.world(y, x))
        self.settle()


@pytest.fixture
def fake_model(make_card: Callable[..., ModelCard]) -> Iterator[FakeModel]:
    model = FakeModel(make_card)
    yield model
    model.gate.set()
    model.load_gate.set()


@pytest.fixture
def make_bench(fake_model: FakeModel) -> Iterator[Callable[..., Bench]]:
    """Make benches; at the end everything is closed and no thread is left."""
    from napari.components import ViewerModel

    made = []

    def make(viewer: Any = None, *, model: FakeModel | None = fake_model, **options: Any) -> Bench:
        made.append(Bench(viewer if viewer is not None else ViewerModel(), model, **options))
        return made[-1]

    yield make
    fake_model.gate.set()
    fake_model.load_gate.set()
    for bench in made:
        bench.controller.close()
        assert bench.controller.runner.join(PATIENCE)


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()


@pytest.fixture
def grey() -> np.ndarray:
    """A plane without anything in it, uint8 (120, 160)."""
    return np.random.default_rng(0).integers(0, 255, (120, 160)).astype(np.uint8)


@pytest.fixture(scope="session")
def real_segmenter() -> Segmenter:
    """The bundled model, loaded once."""
    from napari_clickseg.engine.segmenter import load_segmenter

    return load_segmenter("default", "cpu")


@pytest.fixture
def notifications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user is told in napari's corner; kept instead of shown."""
    told: list[str] = []
    monkeypatch.setattr("napari_clickseg._napari.annotate.status.show_error", told.append)
    return told


# ---- a real window

SCREENSHOTS = Path(__file__).parents[1] / "screenshots"


class Window:
    """A viewer that is shown, with the controller on it, a mouse and keys."""

    def __init__(self, viewer: Any, qtbot: Any, load: Any, **options: Any) -> None:
        from napari_clickseg._napari.annotate.controller import AnnotateController
        from napari_clickseg._qt.parts.wakeup import Wakeup

        self.viewer, self.qtbot = viewer, qtbot
        self.wakeup = Wakeup(lambda: self.controller.deliver())
        self.controller: AnnotateController = AnnotateController(
            viewer, notify=self.wakeup.ring, load=load, **options
        )
        self.state = self.controller.state

    @property
    def vispy(self) -> Any:
        return getattr(self.viewer, "__wrapped__", self.viewer).window._qt_viewer.canvas

    @property
    def canvas(self) -> Any:
        return self.vispy.native

    @property
    def mask(self) -> np.ndarray:
        """The mask of the answer that is shown."""
        pairing = self.controller.pairing
        assert pairing is not None and pairing.display.prediction is not None
        return pairing.display.prediction.mask

    def open(self, image: np.ndarray, **options: Any) -> Image:
        layer = self.viewer.add_image(image, **options)
        self.controller.set_up(layer)
        assert self.state.image == layer, self.state.message
        self.viewer.reset_view()
        self.steady()
        self.settle()
        return layer

    def steady(self) -> None:
        """Wait until the window's parts have found their places."""
        before, same = None, 0
        while same < 3:
            self.qtbot.wait(30)
            now = (self.canvas.width(), self.canvas.height(), self.camera())
            before, same = now, same + 1 if now == before else 0

    def settle(self) -> None:
        self.qtbot.waitUntil(lambda: self.controller.runner.idle, timeout=120_000)

    def at(self, y: float, x: float) -> Any:
        """Return where on the canvas a pixel of the displayed plane is drawn."""
        from qtpy.QtCore import QPoint

        pairing = self.controller.pairing
        assert pairing is not None and pairing.displayed() is not None
        node = self.vispy.layer_to_visual[pairing.image].node
        rows, columns = self.viewer.dims.displayed
        across, down = (x, y) if rows < columns else (y, x)
        # vispy's pixels begin, ours have their middle, at whole numbers
        at = node.get_transform("visual", "canvas").map([across + 0.5, down + 0.5])
        return QPoint(round(at[0] / at[3]), round(at[1] / at[3]))

    def click(
        self,
        y: float,
        x: float,
        *,
        right: bool = False,
        held: str = "No",
        twice: bool = False,
        wait: bool = True,
    ) -> None:
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        button = Qt.MouseButton.RightButton if right else Qt.MouseButton.LeftButton
        modifier = getattr(Qt.KeyboardModifier, f"{held}Modifier")
        at = self.at(y, x)
        QTest.mouseMove(self.canvas, at)
        QTest.mouseClick(self.canvas, button, modifier, at)
        if twice:
            QTest.mouseDClick(self.canvas, button, modifier, at)
        if wait:
            self.settle()

    def drag(
        self,
        *pixels: tuple[float, float],
        held: str = "No",
        right: bool = False,
        during: Callable[[], object] = lambda: None,
        pause: int = 15,
    ) -> None:
        """Drag from a pixel to where others were at the beginning; `during` before the release."""
        from qtpy.QtCore import QPoint, Qt
        from qtpy.QtTest import QTest

        modifier = Qt.KeyboardModifier.NoModifier
        for each in held.split("+"):
            modifier |= getattr(Qt.KeyboardModifier, f"{each}Modifier")
        button = Qt.MouseButton.RightButton if right else Qt.MouseButton.LeftButton
        way = [self.at(*pixel) for pixel in pixels]
        QTest.mousePress(self.canvas, button, modifier, way[0])
        for a, b in itertools.pairwise(way):
            for part in (0.25, 0.5, 0.75, 1):
                x, y = a.x() + part * (b.x() - a.x()), a.y() + part * (b.y() - a.y())
                self._move(QPoint(round(x), round(y)), button, modifier)
                self.qtbot.wait(pause)
        during()
        QTest.mouseRelease(self.canvas, button, modifier, way[-1])
        self.settle()

    def _move(self, at: Any, button: Any, modifier: Any) -> None:
        """Move the mouse with a button held, which QTest can't."""
        from qtpy.QtCore import QEvent, QPointF
        from qtpy.QtGui import QMouseEvent
        from qtpy.QtWidgets import QApplication

        everywhere = QPointF(self.canvas.mapToGlobal(at))
        kind = QEvent.Type.MouseMove
        event = QMouseEvent(kind, QPointF(at), everywhere, button, button, modifier)
        QApplication.sendEvent(self.canvas, event)

    def press(self, action: str) -> None:
        """Press the key of an action."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        from napari_clickseg._napari.viewer.actions import SHORTCUTS, Action

        *held, key = SHORTCUTS[Action(action)].key.split("-")
        modifier = Qt.KeyboardModifier.NoModifier
        for each in held:
            modifier |= getattr(Qt.KeyboardModifier, f"{each}Modifier")
        QTest.keyClick(self.canvas, key, modifier)
        self.settle()

    def camera(self) -> tuple[Any, ...]:
        camera = self.viewer.scene.camera
        return (*np.round(camera.center, 6), round(float(camera.zoom), 6))

    def picture(self, name: str) -> np.ndarray:
        """Keep a picture of the window; it shows something."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.qtbot.wait(50)
        path = SCREENSHOTS / f"{name}.png"
        picture = self.viewer.screenshot(str(path), canvas_only=False, flash=False)
        assert path.stat().st_size > 10_000 and picture[..., :3].std() > 10
        return np.asarray(self.viewer.screenshot(canvas_only=True, flash=False), int)


@pytest.fixture
def make_window(open_viewer: Any, qtbot: Any) -> Iterator[Callable[..., Window]]:
    """Open windows; at the end everything is closed and no thread is left."""
    made: list[Window] = []

    def make(load: Any, viewer: Any = None, **options: Any) -> Window:
        viewer = viewer if viewer is not None else open_viewer()
        made.append(Window(viewer, qtbot, load, **options))
        return made[-1]

    yield make
    for window in made:
        window.controller.close()
        window.wakeup.silence()
        assert window.controller.runner.join(PATIENCE)


@pytest.fixture
def keep_real(real_segmenter: Segmenter) -> Callable[..., Any]:
    """Load the bundled model; closing it is left to the end of all tests."""

    class Kept:
        def __getattr__(self, name: str) -> Any:
            return getattr(real_segmenter, name)

        def close(self) -> None:
            pass

    return lambda *_: Kept()


@pytest.fixture
def coins(make_window: Callable[..., Window], keep_real: Any) -> Window:
    """The coins of scikit-image and the bundled model."""
    from skimage import data

    window = make_window(keep_real)
    window.open(data.coins(), name="coins")
    return window
