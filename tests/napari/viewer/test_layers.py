"""Companions lie where the image lies, pixel by pixel, and a click lands on what it points at."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points

from napari_clickseg._napari.annotate.controller import AnnotateController
from napari_clickseg._napari.viewer.layers import (
    CompanionError,
    check_companion,
    companion_shape,
    companion_transform,
    data_under,
    drawn_alike,
    make_annotation,
    make_points,
    remove_layers,
    step_to,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
TURNED: dict[str, Any] = {
    "scale": (2, 0.5),
    "translate": (-4, 11),
    "rotate": 33,
    "shear": (0.3,),
    "affine": [[0.9, 0.2, 5], [-0.1, 1.3, -8], [0, 0, 1]],
    "units": ("um", "um"),
    "axis_labels": ("row", "column"),
}


def state_of(layer: Any) -> dict[str, Any]:
    """Return everything public about a layer."""
    kinds = (bool, int, float, str, tuple, np.ndarray)
    names = [name for name in dir(type(layer)) if not name.startswith("_")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = {name: getattr(layer, name, None) for name in names if name != "cursor_size"}
    out = {
        name: v.copy() if isinstance(v, np.ndarray) else repr(v)
        for name, v in values.items()
        if isinstance(v, kinds)
    }
    return out | {"affine": layer.affine.affine_matrix, "metadata": dict(layer.metadata)}


def assert_same_place(one: Any, other: Any) -> None:
    for name in NAMES:
        a, b = (getattr(getattr(layer, name), "affine_matrix", getattr(layer, name))
                for layer in (one, other))  # fmt: skip
        if name in ("units", "axis_labels"):
            assert a == b, name
        else:
            np.testing.assert_allclose(a, b, err_msg=name)


# ---- companions


def test_all_companions_take_the_place_of_the_image(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    bench.state.probability = True
    image = bench.open(np.zeros((20, 30)), **TURNED)
    companions = [layer for layer in bench.pairing.layers() if layer is not image]
    assert len(companions) == 5
    for layer in companions:
        assert_same_place(layer, image)


@pytest.mark.parametrize("name", NAMES)
def test_companions_follow_when_the_image_is_moved(
    make_bench: Callable[..., Any], name: str
) -> None:
    bench = make_bench()
    bench.state.probability = True
    image = bench.open(np.zeros((20, 30)), scale=(3, 3))
    setattr(image, name, TURNED[name])
    for layer in bench.pairing.layers():
        assert_same_place(layer, image)


def test_given_layers_are_put_where_the_image_is(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    image = bench.viewer.add_image(np.zeros((20, 30)), **TURNED)
    given = {
        "annotation": bench.viewer.add_labels(np.zeros((20, 30), int)),
        "positive": bench.viewer.add_points([[3.0, 4.0]]),
        "negative": bench.viewer.add_points(ndim=2),
    }
    bench.controller.adopt(image, **given)
    for layer in given.values():
        assert_same_place(layer, image)


def test_the_image_is_never_changed(make_bench: Callable[..., Any]) -> None:
    """Neither its data nor anything else about it, whatever is done on it."""
    bench = make_bench()
    data = np.random.default_rng(0).random((40, 50))
    image = bench.viewer.add_image(data.copy(), name="mine", contrast_limits=(0.2, 0.7), **TURNED)
    before = state_of(image)
    bench.controller.set_up(image)
    bench.state.probability = True
    bench.click(10, 10)
    bench.do("accept")
    bench.take_up(10, 10)
    bench.click(12, 20, positive=False)
    bench.state.contrast_from_layer = True
    bench.do("accept")
    bench.do("undo")
    after = state_of(image)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert np.array_equal(value, after[name]), name
    np.testing.assert_array_equal(image.data, data)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_companion_of_channels_is_seen_on_every_channel(axis: int) -> None:
    shape = [4, 6, 20, 30]
    image = Image(np.zeros(shape), scale=(2, 3, 0.5, 0.5), translate=(7, -9, 1, 2))
    viewer = ViewerModel()
    viewer.add_layer(image)
    labels, points = make_annotation(image, axis), make_points(
        image, axis, positive=True, size=9
    )  # fmt: skip
    labels.data[(0,) * 4] = 0
    index = [1, 2, 5, 6]
    index[axis] = 0
    labels.data[tuple(index)] = 3
    points.data = np.array([index], float)
    viewer.add_layer(labels)
    viewer.add_layer(points)
    assert labels.data.shape == companion_shape(image, axis)
    other = 1 - axis
    for step in range(shape[axis]):
        viewer.dims.set_point(axis, float(image.data_to_world([step] * 4)[axis]))
        viewer.dims.set_point(other, float(image.data_to_world(index)[other]))
        assert labels._slice.image.raw.max() == 3, step
        assert len(points._view_data) == 1, step
        viewer.dims.set_point(other, float(image.data_to_world([0] * 4)[other]))
        assert labels._slice.image.raw.max() == 0, step
        assert len(points._view_data) == 0, step


# ---- annotation layers


def test_the_annotation_of_a_usual_image_is_an_array() -> None:
    labels = make_annotation(Image(np.zeros((3, 20, 30))), None)
    assert isinstance(labels.data, np.ndarray)
    assert labels.data.shape == (3, 20, 30) and labels.data.dtype == np.uint16


class Huge:
    """An image that is nowhere: as large as one likes, and read only where it is looked at."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        import dask.array as da

        chunks = tuple(
            min(n, 1024) if axis >= len(shape) - 2 else 1 for axis, n in enumerate(shape)
        )
        self.data = da.zeros(shape, chunks=chunks, dtype=np.uint8)

    def image(self, **options: Any) -> Image:
        return Image(self.data, contrast_limits=(0, 255), **options)


def test_the_annotation_of_a_huge_plane_is_a_pyramid_of_that_plane_alone() -> None:
    """The planes of a stack are neither mixed nor kept in one piece."""
    labels = make_annotation(Huge((100, 9000, 10_000)).image(), None, (1, 2))
    assert labels.multiscale
    assert [level.shape[0] for level in labels.data] == [100] * len(labels.data)
    assert labels.data[0].shape == (100, 9000, 10_000)
    assert all(level.chunks[0] == 1 for level in labels.data)
    assert max(labels.data[-1].shape[1:]) <= 2048
    across = make_annotation(Huge((9000, 3, 10_000)).image(), None, (0, 2))
    assert [level.shape[1] for level in across.data] == [3] * len(across.data)


def test_the_annotation_of_a_long_stack_takes_no_memory_where_nothing_is() -> None:
    labels = make_annotation(Huge((500, 2048, 2048)).image(), None)
    assert not labels.multiscale and not isinstance(labels.data, np.ndarray)
    assert labels.data.shape == (500, 2048, 2048)


# ---- what can't go together


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Points(ndim=3, name="mine"), ("mine", "3 dimensions", "choose another")),
        (Labels(np.zeros((5, 20, 30), int), name="mine"), ("mine", "dimensions")),
        (Labels(np.zeros((20, 31), int), name="mine"), ("(20, 31)", "(20, 30)", "choose another")),
    ],
)
def test_a_layer_that_does_not_fit_is_refused(layer: Any, words: tuple[str, ...]) -> None:
    image = Image(np.zeros((20, 30)))
    with pytest.raises(CompanionError) as caught:
        check_companion(layer, image, None)
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)


def test_labels_for_channels_have_one_pixel_there() -> None:
    image = Image(np.zeros((3, 20, 30)))
    check_companion(Labels(np.zeros((1, 20, 30), int)), image, 0)
    with pytest.raises(CompanionError):
        check_companion(Labels(np.zeros((3, 20, 30), int)), image, 0)


# ---- the world

numbers = st.floats(-20, 20).map(lambda v: round(v, 3))
sizes = st.floats(0.05, 20).map(lambda v: round(v, 3))


@st.composite
def transforms(draw: st.DrawFn, ndim: int, axes: tuple[int, int]) -> dict[str, Any]:
    """Make a transform that may turn and shear the displayed plane, and scale and move all."""
    block = np.ix_(axes, axes)
    angle = draw(st.floats(0, 2 * np.pi))
    rotate, shear, affine = np.eye(ndim), np.eye(ndim), np.eye(ndim + 1)
    cos, sin = np.cos(angle), np.sin(angle)
    rotate[block] = [[cos, -sin], [sin, cos]]
    shear[axes] = draw(st.floats(-2, 2))
    stretch = np.diag([draw(st.floats(0.3, 3)), draw(st.floats(0.3, 3))])
    turn = draw(st.floats(0, 2 * np.pi))
    affine[block] = stretch @ [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine[:ndim, ndim] = draw(st.tuples(*[numbers] * ndim))
    return {
        "scale": draw(st.tuples(*[sizes] * ndim)),
        "translate": draw(st.tuples(*[numbers] * ndim)),
        "rotate": rotate,
        "shear": shear,
        "affine": affine,
    }


@st.composite
def scenes(draw: st.DrawFn) -> dict[str, Any]:
    ndim = draw(st.integers(2, 4))
    shape = tuple(draw(st.tuples(*[st.integers(2, 9)] * ndim)))
    order = tuple(draw(st.permutations(range(ndim))))
    a, b = sorted(order[-2:])
    index = [draw(st.integers(0, n - 1)) for n in shape]
    part = st.floats(-0.45, 0.45)
    position = [float(i) for i in index]
    position[a] += draw(part)
    position[b] += draw(part)
    options = draw(transforms(ndim, (a, b)))
    return {"shape": shape, "order": order, "index": index, "position": position} | options


def for_examples(count: int, law: Callable[..., None], **drawn: Any) -> Any:
    """Make a test of a law; in `make test` of few examples, since each one makes a viewer."""
    test = settings(max_examples=count, suppress_health_check=list(HealthCheck))(
        given(**drawn)(law)
    )
    # Before the axes are turned.
    return pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")(test)


def never(*_: object) -> Any:
    raise ValueError("There is no model.")


def lands_on_the_pixel_under_it(scene: dict[str, Any]) -> None:
    """For any shape, transform and order of the axes; the point is seen exactly there."""
    viewer = ViewerModel()
    image = viewer.add_image(
        np.zeros(scene["shape"]), **{name: scene[name] for name in NAMES if name in scene}
    )
    viewer.dims.order = scene["order"]
    world = image.data_to_world(scene["position"])
    for axis in scene["order"][:-2]:
        viewer.dims.set_point(axis, float(world[axis]))
    controller = AnnotateController(viewer, load=never)
    try:
        controller.set_up(image)
        plane = controller.displayed()
        assert plane is not None
        controller._clicked(tuple(world), True)
        (click,) = controller.prompt().clicks
        assert click.pixel == (scene["index"][plane.axes[0]], scene["index"][plane.axes[1]])
        points = controller.state.positive
        assert points is not None and controller.state.message == ""
        np.testing.assert_allclose(points.data, [plane.position(click.y, click.x)])
        np.testing.assert_allclose(points.data_to_world(points.data[0]), world, atol=1e-6)
        assert len(points._view_data) == 1
    finally:
        controller.close()


test_a_click_lands_on_the_pixel_under_it = for_examples(
    8, lands_on_the_pixel_under_it, scene=scenes()
)
test_every_click_lands_on_the_pixel_under_it = pytest.mark.slow(
    for_examples(60, lands_on_the_pixel_under_it, scene=scenes())
)


def is_found_where_napari_draws_it(
    matrix: list[float], order: list[int], steps: tuple[float, ...], pixel: tuple[float, float]
) -> None:
    """Also where the transform mixes displayed axes with others, which napari leaves out."""
    viewer = ViewerModel()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(matrix, (3, 3)) + 4 * np.eye(3)
    image = viewer.add_image(np.zeros((9, 9, 9)), affine=affine, translate=(1, 2, 3))
    viewer.dims.order = tuple(order)
    for axis, (low, high, _) in enumerate(viewer.dims.range):
        viewer.dims.set_point(axis, low + steps[axis] * (high - low))
    shown = sorted(order[-2:])
    drawn = image._transforms.simplified.set_slice(shown)(pixel)
    world = np.array(viewer.dims.point)
    world[shown] = drawn
    position = data_under(image, viewer.dims, world)
    np.testing.assert_allclose(position[shown], pixel, atol=1e-6)
    hidden = order[0]
    assert position[hidden] == pytest.approx(image._data_slice.point[hidden])


DRAWN = {
    "matrix": st.lists(st.floats(-1, 1), min_size=9, max_size=9),
    "order": st.permutations(range(3)),
    "steps": st.tuples(*[st.floats(0, 1)] * 3),
    "pixel": st.tuples(st.floats(0, 8), st.floats(0, 8)),
}
test_a_pixel_is_found_where_napari_draws_it = for_examples(
    20, is_found_where_napari_draws_it, **DRAWN
)
test_every_pixel_is_found_where_napari_draws_it = pytest.mark.slow(
    for_examples(150, is_found_where_napari_draws_it, **DRAWN)
)


def test_other_units_are_converted_the_way_napari_draws_them() -> None:
    """µm beside nm: the viewer counts in nm, so one pixel of the first image is a thousand."""
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((20, 30)), units=("um", "um"), translate=(5, 0))
    other = viewer.add_image(np.zeros((20, 30)), units=("nm", "nm"))
    assert viewer.dims.units is not None
    np.testing.assert_allclose(data_under(image, viewer.dims, (8000, 7000)), (3, 7))
    np.testing.assert_allclose(data_under(other, viewer.dims, (8, 7)), (8, 7))
    assert not drawn_alike(image, other, viewer.dims)
    other.scale = (1000, 1000)
    other.translate = (5000, 0)
    assert drawn_alike(image, other, viewer.dims)


def test_a_step_leads_back_to_its_plane() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((5, 6, 7, 8)), scale=(3, 0.5, 1, 1), translate=(9, -4, 0, 0))
    for axis, value in step_to(image, viewer.dims, (4, 2, 0, 0)).items():
        viewer.dims.set_point(axis, value)
    np.testing.assert_allclose(data_under(image, viewer.dims, viewer.dims.point)[:2], (4, 2))


def test_a_labels_layer_with_fewer_axes_may_lie_on_the_image_as_well() -> None:
    """Cellpose gives (Y, X) for an image (C, Y, X)."""
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((3, 20, 30)), scale=(1, 2, 2), translate=(0, 5, 5))
    labels = viewer.add_labels(np.zeros((20, 30), int), scale=(2, 2), translate=(5, 5))
    assert drawn_alike(image, labels, viewer.dims)
    labels.translate = (5, 6)
    assert not drawn_alike(image, labels, viewer.dims)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
def test_companion_transforms_survive_being_set_twice() -> None:
    image = Image(np.zeros((4, 20, 30)), **{"scale": (2, 3, 4), "rotate": (10, 20, 30)})
    once = Labels(np.zeros((1, 20, 30), int), **companion_transform(image, 0))
    twice = Labels(np.zeros((1, 20, 30), int))
    for _ in range(2):
        for name, value in companion_transform(image, 0).items():
            setattr(twice, name, value)
    assert_same_place(once, twice)


def test_layers_go_at_once_and_napari_tidies_up_once() -> None:
    viewer = ViewerModel()
    first, second, third = (viewer.add_image(np.zeros((4, 4)), name=name) for name in "abc")
    went: list[str] = []
    viewer.layers.events.removed.connect(lambda event: went.append(event.value.name))
    viewer.layers.events.end_batch.connect(lambda: went.append("tidied up"))
    remove_layers(viewer, [first, Image(np.zeros((4, 4))), third])
    assert went == ["a", "c", "tidied up"]
    assert list(viewer.layers) == [second]
    remove_layers(viewer, [first])
    assert went[3:] == [], "nothing is there"


@pytest.mark.skipif(
    not {"OMP_NUM_THREADS", "PYTEST_XDIST_WORKER"} <= os.environ.keys(), reason="not by make test"
)
def test_side_by_side_torch_keeps_its_threads_whatever_numba_takes() -> None:
    import torch

    wanted = int(os.environ["OMP_NUM_THREADS"])
    assert torch.get_num_threads() == wanted, "set NUMBA_NUM_THREADS as well"
