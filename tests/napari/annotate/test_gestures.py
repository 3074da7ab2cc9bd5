"""What a gesture is about is worked out once, when it begins, and handed on from there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

A, B = (30, 40), (80, 110)


class PlaneCounter:
    """Counts how often the displayed plane is worked out, of whichever layer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from napari_clickseg._napari.viewer.planes import displayed_plane

        self.n = 0

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.n += 1
            return displayed_plane(*args, **kwargs)

        for name, module in list(sys.modules.items()):
            if name.startswith("napari_clickseg.") and hasattr(module, "displayed_plane"):
                monkeypatch.setattr(module, "displayed_plane", counted)

    def of(self, gesture: Callable[[], object], bench: Any) -> int:
        """Count from a gesture until all is shown that comes of it."""
        self.n = 0
        gesture()
        bench.settle()
        return self.n


@pytest.mark.parametrize("shape", [(120, 160), (5, 120, 160), (2304, 2304)])
def test_a_gesture_works_out_the_displayed_plane_once(
    bench: Any, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    bench.open(np.random.default_rng(0).integers(0, 255, shape, np.uint8))
    controller, state, viewer = bench.controller, bench.state, bench.viewer
    at, beside = bench.world(*A), bench.world(*B)
    counter = PlaneCounter(monkeypatch)

    def once(gesture: Callable[[], object], outcome: Callable[[], object]) -> None:
        assert counter.of(gesture, bench) == 1
        assert outcome()

    def key(action: str) -> Callable[[], object]:
        return lambda: bench.do(action)

    once(lambda: controller._clicked(at, True), lambda: bench.mask[A])  # the first click
    once(lambda: controller._clicked(beside, True), lambda: bench.mask[B])
    once(key("undo"), lambda: not bench.mask[B] and bench.mask[A])
    once(key("redo"), lambda: bench.mask[B])
    once(key("accept"), lambda: state.n_objects == 1)
    # A correction: the object is taken up, clicked on, and accepted again.
    once(lambda: controller._take_up_at(at), lambda: state.editing and bench.mask[B])
    once(lambda: controller._clicked(beside, False), lambda: not bench.mask[B])
    once(key("accept"), lambda: not state.editing and state.n_objects == 1)
    viewer.cursor.position = at
    once(key("take_up"), lambda: state.editing)
    once(key("clear"), lambda: state.editing and not state.n_positive)
    once(key("skip"), lambda: not state.editing and state.n_objects == 1)
    once(key("delete"), lambda: not np.asarray(bench.pairing.annotation.data).any())


def test_an_accept_that_waits_works_out_the_displayed_plane_once(
    bench: Any, grey: np.ndarray, fake_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.open(grey)
    at = bench.world(*A)
    fake_model.gate.clear()
    bench.controller._clicked(at, True)
    counter = PlaneCounter(monkeypatch)

    def accept() -> None:
        bench.do("accept", wait=False)
        assert bench.state.n_objects == 0
        fake_model.gate.set()

    assert counter.of(accept, bench) == 1
    assert bench.state.n_objects == 1 and bench.labels[A] == 1
