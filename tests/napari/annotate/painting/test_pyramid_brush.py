"""napari's brush and eraser on annotations so large that they are pyramids."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest
from napari.layers import Labels
from napari.layers.labels._labels_mouse_bindings import draw

from napari_clickseg._napari.annotate.painting.pyramid_brush import brushed
from napari_clickseg.journal.recording import read_journal
from napari_clickseg.journal.relabelling import joined

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 9000


@pytest.fixture
def slide(bench: Any) -> Any:
    """A bench with a lazy image that is larger than 8192² pixels."""
    levels = [da.full((SIDE // n, SIDE // n), 90, np.uint8, chunks=1024) for n in (1, 2, 4, 8)]
    bench.open(levels, multiscale=True, contrast_limits=(0, 255))
    assert bench.state.annotation.multiscale
    return bench


def stroke(bench: Any, *way: tuple[float, float], mode: str = "paint") -> None:
    """Draw as napari does it while a button is held, from pixel to pixel."""
    layer = bench.state.annotation
    layer.mode = mode
    event = SimpleNamespace(position=bench.world(*way[0]), type="mouse_press", button=1)
    held = draw(layer, event)
    next(held)
    for pixel in way[1:]:
        event.position, event.type = bench.world(*pixel), "mouse_move"
        next(held)
    event.type = "mouse_release"
    assert next(held, None) is None
    bench.settle()


def ids(bench: Any) -> np.ndarray:
    return np.asarray(bench.labels[0][3900:4400, 3900:4400])


def reference(*way: tuple[float, float], size: int) -> np.ndarray:
    """Paint the same with napari, on a plain layer."""
    layer = Labels(np.zeros((500, 500), np.uint16))
    layer.brush_size, layer.mode = size, "paint"
    for one, other in pairwise((way[0], *way)):
        layer._draw(1, np.subtract(one, 3900), np.subtract(other, 3900))
    return np.asarray(layer.data)


@pytest.mark.parametrize("size", [1, 2, 10, 41])
def test_a_stroke_is_what_napari_paints_and_one_step(slide: Any, size: int) -> None:
    slide.state.annotation.brush_size = size
    way = ((4000, 4000), (4100, 4200), (4150, 4200))
    stroke(slide, *way)
    expected = reference(*way, size=size)
    np.testing.assert_array_equal(ids(slide), expected)
    for factor, level in ((2, slide.labels[1]), (4, slide.labels[2])):
        part = np.asarray(level[3900 // factor : 4400 // factor, 3900 // factor : 4400 // factor])
        np.testing.assert_array_equal(part, expected[factor // 2 :: factor, factor // 2 :: factor])
    slide.do("undo")
    assert not ids(slide).any() and not slide.state.can_undo
    slide.do("redo")
    np.testing.assert_array_equal(ids(slide), expected)


def test_the_eraser_and_napari_s_own_undo_walk_the_one_history(slide: Any) -> None:
    slide.click(4000, 4000)
    slide.do("accept")
    accepted = ids(slide)
    assert accepted.any()
    slide.state.annotation.brush_size = 9
    stroke(slide, (4000, 4000), (4010, 4000), mode="erase")
    assert not ids(slide)[100, 100] and ids(slide).any()
    slide.state.annotation.undo()
    slide.settle()
    np.testing.assert_array_equal(ids(slide), accepted)
    slide.state.annotation.undo()
    slide.settle()
    assert not ids(slide).any()


def test_what_is_painted_is_an_object_when_it_is_accepted_and_in_the_journal(
    make_bench: Any, tmp_path: Path
) -> None:
    bench = make_bench(home=tmp_path)
    bench.open(
        [da.full((SIDE // n, SIDE // n), 90, np.uint8, chunks=1024) for n in (1, 2, 4)],
        multiscale=True,
        contrast_limits=(0, 255),
    )
    stroke(bench, (4000, 4000), (4050, 4000))
    bench.do("accept")
    (made,) = bench.pairing.scene.objects
    assert made.value == 1 and made.patch.mask.sum() == (ids(bench) == 1).sum()
    assert bench.state.object_id == bench.state.annotation.selected_label == 2
    assert bench.controller.autosave.flush()
    (journal,) = (tmp_path / "journals").glob("*.jsonl")
    recording = read_journal(journal)
    noted = joined([one.runs for one in recording.walk])
    assert noted.size == (ids(bench) == 1).sum()


def test_labels_that_are_to_be_kept_are(slide: Any) -> None:
    slide.click(4000, 4000)
    slide.do("accept")
    accepted, layer = ids(slide), slide.state.annotation
    layer.preserve_labels, layer.brush_size = True, 200
    stroke(slide, (4000, 4000))
    assert (ids(slide)[accepted > 0] == 1).all() and (ids(slide) == 2).any()


def test_other_tools_are_let_go_of_with_a_line(slide: Any) -> None:
    layer = slide.state.annotation
    for mode in ("fill", "polygon"):
        layer.mode = mode
        assert layer.mode == "pan_zoom"
        assert "brush and eraser" in slide.state.message
    slide.viewer.dims.ndisplay = 3
    assert not layer.editable
    slide.viewer.dims.ndisplay = 2
    assert layer.editable


def test_napari_has_the_layer_back_as_it_has_others(slide: Any) -> None:
    layer = slide.state.annotation
    slide.controller.close()
    assert not layer.editable and "paint" not in vars(layer)


def test_a_brush_beyond_the_edge_covers_what_is_inside() -> None:
    one = np.ones(2)
    box, mask = brushed(np.array([[0.0, 0.0]]), 9, one, (5, 5))
    assert (box.top, box.left) == (0, 0) and mask[0, 0] and not mask[4, 4]
    assert not brushed(np.array([[-50.0, 2.0]]), 9, one, (5, 5))[0]
