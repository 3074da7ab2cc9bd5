"""The preview: what a click would outline, for nobody to wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_clickseg._napari.annotate.lines import mask_outline
from napari_clickseg.core.window import Box

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def hovered(bench: Any, grey: np.ndarray) -> Any:
    """A bench with the click tool on, and the pointer over the image."""
    bench.open(grey)
    bench.state.previews = True
    bench.viewer.mouse_over_canvas = True
    bench.viewer.cursor.position = bench.world(60, 80)
    return bench


def rest(bench: Any, *, wait: bool = True) -> Any:
    bench.controller.preview.look()
    if wait:
        bench.settle()
    return bench.state.preview


def same_outline(bench: Any) -> bool:
    """Whether the preview is the outline of the mask that is shown."""
    mask = bench.mask
    shown = mask_outline(mask, Box(0, 0, *mask.shape)).ends
    as_set = [{tuple(map(tuple, edge)) for edge in ends.tolist()} for ends in (shown, bench.before)]
    return as_set[0] == as_set[1] and len(shown) > 0


def test_a_click_on_a_previewed_place_shows_the_very_same_mask_and_asks_nothing_anew(
    hovered: Any, fake_model: Any
) -> None:
    hovered.before = rest(hovered).ends
    asked = fake_model.forwards
    hovered.click(60, 80)
    assert same_outline(hovered) and fake_model.forwards == asked
    assert hovered.state.preview is None


def test_the_default_models_preview_is_what_it_answers(
    make_bench: Callable[..., Any], keep_real: Callable[..., Any]
) -> None:
    import skimage.data

    bench = make_bench(model=None, load=keep_real)
    bench.open(skimage.data.coins())
    bench.state.previews = True
    bench.viewer.mouse_over_canvas = True
    for at in ((190, 60), (60, 100), (302, 383)):
        bench.viewer.cursor.position = bench.world(*at)
        bench.before = rest(bench).ends
        bench.click(*at)
        assert same_outline(bench)
        bench.do("clear")


def test_a_click_waits_for_no_more_of_a_preview_than_one_look(
    hovered: Any, fake_model: Any
) -> None:
    fake_model.gate.clear()
    rest(hovered, wait=False)
    hovered.click(30, 30, wait=False)
    assert not hovered.controller.runner.active("preview")
    fake_model.gate.set()
    hovered.settle()
    assert hovered.state.preview is None and hovered.mask[30, 30] and not hovered.mask[60, 80]


def _off(bench: Any) -> None:
    bench.state.previews = False


def _tool_off(bench: Any) -> None:
    bench.state.tool = False


def _drawing(bench: Any) -> None:
    bench.controller.tool.begun.emit("box", bench.world(10, 20), True)


def _elsewhere(bench: Any) -> None:
    bench.viewer.mouse_over_canvas = False


def _beside(bench: Any) -> None:
    bench.viewer.cursor.position = (-30.0, -30.0)


def _swapped(bench: Any) -> None:
    bench.state.swapped = True


def _under_another(bench: Any) -> None:
    bench.viewer.add_image(np.zeros((120, 160)))


def _begun(bench: Any) -> None:
    bench.click(20, 20)


def _in_3d(bench: Any) -> None:
    bench.viewer.dims.ndisplay = 3


def _removed(bench: Any) -> None:
    bench.viewer.layers.remove(bench.pairing.image)


HINDRANCES = (
    _off, _tool_off, _drawing, _elsewhere, _beside, _swapped, _under_another, _begun, _in_3d,
    _removed,
)  # fmt: skip


@pytest.mark.parametrize("hinder", HINDRANCES, ids=lambda one: one.__name__[1:])
def test_where_a_click_would_begin_no_object_nothing_is_looked_at(
    hovered: Any, fake_model: Any, hinder: Callable[[Any], None]
) -> None:
    hinder(hovered)
    asked = fake_model.forwards
    assert rest(hovered) is None and fake_model.forwards == asked


def _zoomed(bench: Any) -> None:
    bench.viewer.scene.camera.zoom *= 2


def _panned(bench: Any) -> None:
    bench.viewer.scene.camera.center = (0, 5, 5)


def _threshold(bench: Any) -> None:
    bench.state.threshold = 0.7


def _hovered(bench: Any) -> None:
    bench.controller.tool.hovered.emit()


def _shift_clicked(bench: Any) -> None:
    bench.controller.tool.shift_clicked.emit(tuple(bench.world(60, 80)))


def _edited(bench: Any) -> None:
    bench.pairing.image.data = np.zeros((120, 160), np.uint8)


ENDS = (
    _off, _tool_off, _drawing, _elsewhere, _swapped, _begun, _in_3d, _removed, _zoomed, _panned,
    _threshold, _hovered, _shift_clicked, _edited,
)  # fmt: skip


@pytest.mark.parametrize("finished", [True, False], ids=["shown", "looking"])
@pytest.mark.parametrize("end", ENDS, ids=lambda one: one.__name__[1:])
def test_whatever_makes_the_preview_another_one_ends_it(
    hovered: Any, fake_model: Any, end: Callable[[Any], None], finished: bool
) -> None:
    if finished:
        assert rest(hovered) is not None
    else:
        fake_model.gate.clear()
        rest(hovered, wait=False)
        hovered.wait(lambda: hovered.controller.runner.active("preview"))
        if end is _begun:
            fake_model.gate.set()
    end(hovered)
    assert hovered.state.preview is None
    fake_model.gate.set()
    hovered.settle()
    assert hovered.state.preview is None


def test_another_plane_ends_the_preview_and_has_its_own(bench: Any, fake_model: Any) -> None:
    bench.open(np.random.default_rng(0).integers(0, 255, (3, 120, 160), np.uint8))
    bench.state.previews = bench.viewer.mouse_over_canvas = True
    bench.viewer.cursor.position = bench.world(60, 80)
    assert rest(bench) is not None
    bench.viewer.dims.set_current_step(0, 2)
    assert bench.state.preview is None
    bench.settle()
    bench.before = rest(bench).ends
    asked = fake_model.forwards
    bench.click(60, 80)
    assert same_outline(bench) and fake_model.forwards == asked


def test_a_preview_never_disturbs_what_is_being_done(hovered: Any, fake_model: Any) -> None:
    fake_model.gate.clear()
    hovered.click(20, 20, wait=False)
    hovered.do("undo", wait=False)
    hovered.controller.runner.submit("long", lambda _: None, lambda _: None, lambda _: None)
    rest(hovered, wait=False)
    assert not hovered.controller.runner.active("preview")
    fake_model.gate.set()
    hovered.settle()


def test_a_preview_that_fails_is_not_said_but_a_click_is(hovered: Any, fake_model: Any) -> None:
    fake_model.error = RuntimeError("No memory.")
    before = hovered.state.message
    assert rest(hovered) is None and hovered.state.message == before
    hovered.click(60, 80)
    assert "No memory" in hovered.state.message


def test_an_object_under_review_has_no_preview_as_a_click_takes_it_up(hovered: Any) -> None:
    from napari_clickseg._napari.viewer.metadata import under_review

    layer = hovered.pairing.annotation
    layer.data[50:70, 70:90] = 1
    layer.metadata.update(under_review())
    assert hovered.pairing.under_review and rest(hovered) is None
    hovered.viewer.cursor.position = hovered.world(20, 20)
    assert rest(hovered) is not None


def test_who_switches_it_off_pays_nothing(hovered: Any) -> None:
    viewer = hovered.viewer
    both = viewer.mouse_move_callbacks, viewer.mouse_wheel_callbacks
    on = [len(callbacks) for callbacks in both]
    hovered.state.previews = False
    assert [len(callbacks) + 1 for callbacks in both] == on
    hovered.state.tool = False
    hovered.state.previews = True
    assert [len(callbacks) + 1 for callbacks in both] == on, "nor while the tool is off"
    hovered.state.tool = True
    assert [len(callbacks) for callbacks in both] == on
