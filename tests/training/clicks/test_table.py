from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.click_table import ClickTable, TableClick, TableImage
from napari_clickseg.data.masks import write_mask
from napari_clickseg.training.clicks.project import ProjectPool
from napari_clickseg.training.clicks.record import TrainingImage
from napari_clickseg.training.clicks.samples import Subject, View
from napari_clickseg.training.clicks.table import (
    CorrectedPrediction,
    TableAnnotations,
    corrections,
    in_window,
)
from napari_clickseg.training.loop.work import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 64


def click(y: float, x: float, kind: Any = "fn") -> TableClick:
    return TableClick(image="a", y=y, x=x, kind=kind)


@settings(max_examples=60)
@given(
    st.integers(3, 60), st.integers(3, 76), st.floats(-math.pi, math.pi), st.booleans(),
    st.floats(20, 60),
)  # fmt: skip
def test_a_click_lands_where_its_pixel_does(
    row: int, column: int, angle: float, mirrored: bool, span: float
) -> None:
    pixels = np.zeros((1, 64, 80), np.uint8)
    pixels[0, row, column] = 255
    labels = np.ones((64, 80), np.int32)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    turn = turn @ np.diag([-1.1 if mirrored else 1.1, 1 / 1.1])
    subject = Subject(TrainingImage(pixels, labels, (1,)), labels > 0, np.zeros(2), 9.0, turn)
    view = View(np.array([row + 2.3, column - 3.1]), span)
    seen, _ = subject.cut(view, SIZE)
    inside = in_window(subject, view, SIZE, [click(row, column)])
    peak = np.unravel_index(int(seen[0, 0].argmax()), (SIZE, SIZE))
    assert len(inside) == 1
    y, x, positive = inside[0]
    assert positive
    assert math.hypot(y - peak[0], x - peak[1]) <= 1.5


def test_clicks_outside_of_the_window_are_left_out() -> None:
    labels = np.ones((90, 90), np.int32)
    record = TrainingImage(np.zeros((1, 90, 90), np.uint8), labels, (1,))
    subject = Subject(record, labels > 0, np.zeros(2), 9.0, np.eye(2))
    view = View(np.array([32.0, 32.0]), 64.0)
    clicks = [click(0, 0), click(63, 63, "fp"), click(64, 10), click(10, 80)]
    assert in_window(subject, view, SIZE, clicks) == [(0.0, 0.0, True), (63.0, 63.0, False)]


def annotations(share: float, clicked: float, prediction: bool = True) -> TableAnnotations:
    labels = np.zeros((80, 80), np.int32)
    labels[20:60, 20:60] = 1
    record = TrainingImage(np.full((3, 80, 80), 99, np.uint8), labels, (1,), True, name="a")
    pool = ProjectPool([record])
    before = (
        TrainingImage(np.full((1, 80, 80), 255, np.uint8), labels * 0, ()) if prediction else None
    )
    clicks = tuple(click(y, x) for y in range(20, 60, 4) for x in range(20, 60, 4))
    return TableAnnotations(
        pool,
        SIZE,
        corrections={"a": CorrectedPrediction((*clicks, click(5, 5, "fp")), before)},
        share=share,
        clicked=clicked,
        preset="light",
        without=0.25,  # of four predictions: all begin without a click
        radius=3,
        steps=5,
        count=40,
        rng=np.random.default_rng(0),
        generator=torch.Generator().manual_seed(0),
        device=torch.device("cpu"),
    )


def test_clicks_are_drawn_crisply_after_the_window_was_turned() -> None:
    lesson = annotations(1.0, 1.0).lesson(40)
    maps = lesson.maps
    assert maps.positive.amax((1, 2, 3)).min() == 1
    assert set(torch.unique(maps.positive).tolist()) == {0.0, 1.0}
    middle = maps.positive * (1 - lesson.target)
    assert float(middle.sum()) < 0.5 * float(maps.positive.sum())  # disks reach out of the edge
    assert (lesson.previous.mean((1, 2, 3)) > 0.3).float().mean() == pytest.approx(0.7, abs=0.2)


def test_a_share_of_the_windows_has_no_clicks() -> None:
    lesson = annotations(1.0, 0.5).lesson(40)
    clicked = lesson.maps.positive.amax((1, 2, 3))
    assert 0.25 < float(clicked.mean()) < 0.75
    without = lesson.previous[clicked == 0]
    assert float(without.abs().max()) == 0


def test_annotations_of_the_table_end_after_one_look() -> None:
    live = annotations(1.0, 1.0, prediction=False)
    lesson = live.lesson(40)
    assert float(lesson.previous.max()) == 0
    before = [id(annotation) for annotation in live.in_progress]
    live.advance(lesson, torch.zeros(40, 1, SIZE, SIZE))
    assert not set(before) & {id(annotation) for annotation in live.in_progress}


def test_both_kinds_are_mixed() -> None:
    live = annotations(0.5, 1.0)
    live.lesson(40)
    fixed = sum(len(annotation.clicks) > 1 for annotation in live.in_progress)
    assert 10 <= fixed <= 30


def test_a_table_is_found_by_the_images_paths(tmp_path: Path) -> None:
    write_mask(tmp_path / "p.tif", np.full((4, 4), 7, np.uint8))
    images = (
        TableImage(image="a", file="data/a.png", prediction="p.tif"),
        TableImage(image="b", file="data/b.png"),
    )
    path = tmp_path / "clicks.json"
    path.write_text(ClickTable(images=images, clicks=(click(1, 2, "fp"),)).to_json())
    some = [tmp_path / "data" / name for name in ("b.png", "c.png", "a.png")]
    without, unknown, known = corrections(str(path), some)
    assert without is not None and without.clicks == () and without.prediction is None
    assert unknown is None
    assert known is not None and known.prediction is not None
    assert known.clicks == (click(1, 2, "fp"),)
    assert known.prediction.image.shape == (1, 4, 4)
    with pytest.raises(TrainingError, match="knows none of the images"):
        corrections(str(path), some[1:2])
    write_mask(tmp_path / "p.tif", np.zeros((4, 4), np.float32), overwrite=True)
    with pytest.raises(ImageError, match="holds no probabilities"):
        corrections(str(path), some)


def test_clicks_without_a_table_are_refused() -> None:
    with pytest.raises(TrainingError, match="clicks_from"):
        corrections("", [])
