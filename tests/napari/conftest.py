from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.layers import Image

    from napari_clickseg._napari.controller import AnnotateController
    from napari_clickseg._napari.pairing import Pairing
    from napari_clickseg._napari.state import AnnotateState
    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.segmenter import Segmenter

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
        from napari_clickseg.segmenter import Segmenter

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
        from napari_clickseg._napari.controller import AnnotateController

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
        found = self.pairing.display.prediction
        return None if found is None else found.mask

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
        from napari_clickseg._napari.actions import Action

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
    from napari_clickseg.segmenter import load_segmenter

    return load_segmenter("default", "cpu")


@pytest.fixture
def notifications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user is told in napari's corner; kept instead of shown."""
    told: list[str] = []
    monkeypatch.setattr("napari_clickseg._napari.controller.show_error", told.append)
    return told
