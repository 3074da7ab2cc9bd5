"""Objects from shapes: one step, in the background, and what can't be one is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

BOX = np.array([(10, 10), (10, 40), (40, 40), (40, 10)], float)


@pytest.fixture(autouse=True)
def warnings_shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(
        "napari_clickseg._napari.annotate.pointing.from_shapes.show_warning", told.append
    )
    return told


def moved(points: np.ndarray, *by: float) -> np.ndarray:
    return points + np.array(by)


def make(bench: Any) -> None:
    bench.controller.objects_from_shapes()
    bench.settle()


def value_at(bench: Any, *at: int) -> int:
    return int(np.asarray(bench.labels[at]))


def test_each_shape_becomes_an_object_and_undo_takes_all_back_at_once(
    bench: Any, grey: np.ndarray
) -> None:
    bench.open(grey)
    shapes = bench.viewer.add_shapes(
        [BOX, moved(BOX, 60, 0), moved(BOX, 0, 60), np.array([(80, 80), (90, 130)])],
        shape_type=["rectangle", "ellipse", "polygon", "path"],
    )
    bench.click(100, 150)
    bench.viewer.layers.selection.active = shapes
    make(bench)
    assert bench.state.n_objects == 4 and bench.state.shapes == (0, 0)
    assert "4 objects" in bench.state.message
    ids = {value_at(bench, 25, 25), value_at(bench, 85, 25), value_at(bench, 25, 85)}
    assert len(ids) == 3 and 0 not in ids
    assert bench.state.n_positive == 1, "what was begun stays begun"
    bench.do("undo")
    assert not np.asarray(bench.labels).any() and bench.state.n_objects == 0
    assert bench.state.n_positive == 1
    bench.do("redo")
    assert bench.state.n_objects == 4 and bench.state.object_id == 5
    bench.do("clear")
    bench.take_up(25, 25)
    assert len(bench.state.drawn) == 1, "the box comes back with its object"


def test_only_selected_shapes_become_objects(bench: Any, grey: np.ndarray) -> None:
    bench.open(grey)
    shapes = bench.viewer.add_shapes([BOX, moved(BOX, 60, 0)], shape_type="rectangle")
    shapes.mode = "select"
    shapes.selected_data = {1}
    make(bench)
    assert bench.state.n_objects == 1 and value_at(bench, 85, 25) and not value_at(bench, 25, 25)


@pytest.mark.parametrize("mode", ["add_rectangle", "pan_zoom"])
def test_what_napari_selects_as_it_is_drawn_is_no_choice(
    bench: Any, grey: np.ndarray, mode: str
) -> None:
    bench.open(grey)
    shapes = bench.viewer.add_shapes([BOX, moved(BOX, 60, 0)], shape_type="rectangle")
    shapes.mode = mode
    shapes.selected_data = {1}
    make(bench)
    assert bench.state.n_objects == 2


def test_what_can_not_be_an_object_is_said_and_the_rest_goes_on(
    bench: Any, warnings_shown: list[str]
) -> None:
    bench.open(np.random.default_rng(0).integers(0, 255, (4, 120, 160), np.uint8))
    deep = np.column_stack([np.zeros(4), BOX])
    hole = np.concatenate(
        [BOX, BOX[:1], BOX[:1] + 5, moved(BOX[1:2], 5, -5), BOX[2:3] - 5, BOX[:1] + 5]
    )
    shapes = bench.viewer.add_shapes(
        [
            np.column_stack([np.zeros(len(hole)), hole]),
            deep + ([[0, 0, 0]] * 2 + [[2, 0, 0]] * 2),
            moved(deep, 9, 0, 0),
            moved(deep, 0, 500, 0),
            moved(deep, 2, 0, 0),
        ],
        shape_type="polygon",
    )
    bench.viewer.layers.selection.active = shapes
    make(bench)
    assert bench.state.n_objects == 1 and value_at(bench, 2, 25, 25)
    message = bench.state.message
    assert "1 object from" in message and "\n" not in message and "and 1 more" in message
    (told,) = warnings_shown
    lines = told.splitlines()
    for line, said in zip(lines, ("holes", "several planes", "outside", "outside"), strict=True):
        assert said in line
    assert [line.split()[1] for line in lines] == ["0", "1", "2", "3"]


def test_a_corner_that_is_no_number_is_said(bench: Any, grey: np.ndarray) -> None:
    bench.open(grey)
    shapes = bench.viewer.add_shapes([BOX, moved(BOX, 60, 0)], shape_type="rectangle")
    real = type(shapes).data.fget(shapes)
    broken = [np.full((4, 2), np.nan), real[1]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(shapes), "data", property(lambda _: broken))
        make(bench)
    assert bench.state.n_objects == 1 and "not a number" in bench.state.message


@pytest.mark.parametrize("transform", [{}, {"rotate": 25, "scale": (0.5, 0.5)}])
def test_shapes_lie_where_they_are_seen_whatever_the_transforms(
    bench: Any, grey: np.ndarray, transform: dict[str, Any]
) -> None:
    image = bench.open(grey, **transform)
    world = np.array([image.data_to_world(point) for point in BOX])
    bench.viewer.add_shapes([(world - (3, 4)) / 2], shape_type="polygon", scale=(2, 2),
                            translate=(3, 4))  # fmt: skip
    make(bench)
    (made,) = bench.pairing.scene.objects
    points = np.array(made.marks[0].shape.points)
    np.testing.assert_allclose(points, BOX, atol=1e-6)


def test_what_the_user_does_meanwhile_ends_it_and_nothing_is_lost(
    bench: Any, grey: np.ndarray, fake_model: Any
) -> None:
    bench.open(grey)
    bench.viewer.add_shapes([BOX, moved(BOX, 60, 0), moved(BOX, 0, 60)], shape_type="rectangle")
    bench.controller.objects_from_shapes()
    bench.wait(lambda: bench.state.shapes[0] == 1)
    bench.click(100, 150)
    assert bench.state.shapes == (0, 0) and bench.state.n_objects == 1
    assert bench.state.n_positive == 1
    bench.do("undo")
    assert bench.state.n_positive == 0 and bench.state.n_objects == 1
    bench.do("undo")
    assert bench.state.n_objects == 0 and not np.asarray(bench.labels).any()


@pytest.mark.parametrize("what", ["again", "annotation", "image"])
def test_it_can_be_stopped_and_outlives_no_layer(
    bench: Any, grey: np.ndarray, fake_model: Any, what: str
) -> None:
    image = bench.open(grey)
    bench.viewer.add_shapes([BOX, moved(BOX, 60, 0), moved(BOX, 0, 60)], shape_type="rectangle")
    labels = bench.state.annotation
    bench.controller.objects_from_shapes()
    bench.wait(lambda: bench.state.shapes[0] == 1)
    if what == "again":
        bench.controller.objects_from_shapes()
        assert "Stopped" in bench.state.message and bench.state.n_objects == 1
    else:
        bench.viewer.layers.remove(image if what == "image" else labels)
    bench.settle()
    assert bench.state.shapes == (0, 0)
    assert np.asarray(labels.data).any(), "what was made stays"


def test_without_shapes_it_says_what_to_do(bench: Any, grey: np.ndarray) -> None:
    bench.open(grey)
    make(bench)
    assert "Select a Shapes layer" in bench.state.message
    bench.viewer.add_shapes(name="mine")
    make(bench)
    assert "no shape in 'mine'" in bench.state.message
