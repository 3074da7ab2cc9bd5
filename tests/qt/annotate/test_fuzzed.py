"""Whatever a hand does, nothing that was accepted is lost, and nothing is raised."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.napari.conftest import FakeModel
from tests.qt.annotate.fuzzing import Fuzzer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.gui,
    # What napari says of outlined labels in 3D, which are then drawn full.
    pytest.mark.filterwarnings("ignore:Contours are not displayed during 3D rendering"),
]
SEED = int(os.environ.get("FUZZ_SEED", "0"))
COUNT = int(os.environ.get("FUZZ_COUNT", "10000"))


@pytest.fixture
def make_fuzzer(
    open_viewer: Callable[[], Any],
    make_card: Any,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> Iterator[Callable[[int], Fuzzer]]:
    model, told = FakeModel(make_card), []
    monkeypatch.setattr(
        "napari_clickseg.engine.segmenter.load_segmenter",
        lambda name, device="cpu", half=False, **_: model.load(name, device, half),
    )
    monkeypatch.setattr("napari_clickseg._napari.annotate.status.show_error", told.append)
    with qtbot.captureExceptions() as exceptions:

        def make(seed: int) -> Fuzzer:
            viewer = open_viewer()
            viewer.window.resize(800, 500)  # what is drawn takes most of the time
            _, widget = viewer.window.add_plugin_dock_widget("napari-clickseg", "Annotate")
            state = widget.context.state
            qtbot.waitUntil(lambda: state.model_status == "ready", timeout=120_000)
            return Fuzzer(viewer, widget, model, exceptions, told, seed)

        yield make
    model.gate.set()


def megabytes() -> float:
    """Return how much memory this process has."""
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20


def test_whatever_is_done_in_annotate_raises_nothing_and_loses_no_accepted_mask(
    make_fuzzer: Callable[[int], Fuzzer],
) -> None:
    fuzzer = make_fuzzer(SEED)
    fuzzer.run(60)
    fuzzer.walk()
    assert fuzzer.accepted > 3, "Nothing was tried."


@pytest.mark.slow
@pytest.mark.timeout(14_400)
def test_ten_thousand_things_done_in_annotate_raise_nothing_lose_nothing_and_fill_no_memory(
    make_fuzzer: Callable[[int], Fuzzer],
) -> None:
    """FUZZ_SEED and FUZZ_COUNT choose others, and fewer."""
    fuzzer, used = make_fuzzer(SEED), []
    for _ in range(10):
        fuzzer.run(COUNT // 10)
        fuzzer.walk()
        fuzzer.clean_up()
        used.append(megabytes())
    assert fuzzer.accepted > COUNT // 50
    early, late = max(used[2:5]), min(used[7:])  # what is loaded once is loaded by then
    assert late - early < 100, f"It takes ever more memory, in MiB: {used}"
