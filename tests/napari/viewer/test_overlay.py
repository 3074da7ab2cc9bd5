"""A part of a plane is shown where it belongs, whole or cut out, and taken away again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Labels

from napari_clickseg._napari.viewer import overlay as module
from napari_clickseg._napari.viewer.layers import step_to
from napari_clickseg._napari.viewer.overlay import Overlay
from napari_clickseg._napari.viewer.planes import displayed_plane
from napari_clickseg.core.window import Box

TURNED: dict[str, Any] = {"scale": (2, 0.5), "rotate": 33, "shear": (0.3,), "translate": (-4, 11)}
MIXED = [[2.0, 0.4, 0, 5], [0.7, 3, 0.2, 6], [0.1, -0.5, 4, 7], [0, 0, 0, 1]]


def make(viewer: Any, image: Any, channel_axis: int | None = None) -> Overlay:
    def put(data: Any, transform: dict[str, Any]) -> Labels:
        return viewer.add_layer(Labels(data, **transform))

    return Overlay(image, channel_axis, np.uint8, put)


def cut_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every image as a large one."""
    monkeypatch.setattr(module, "_WHOLE_PLANE", 0)
    monkeypatch.setattr(module, "_STAGE", 8)


def drawn(layer: Any, viewer: Any) -> dict[tuple[float, ...], int]:
    """Return the world places of the pixels that are drawn, the way napari draws them."""
    shown = sorted(viewer.dims.displayed)
    transform = layer._transforms.simplified.set_slice(shown)
    raw = layer._slice.image.raw
    return {tuple(np.round(transform(at), 6)): int(raw[tuple(at)]) for at in np.argwhere(raw)}


def expected(image: Any, viewer: Any, box: Box, part: np.ndarray) -> dict[tuple[float, ...], int]:
    shown = sorted(viewer.dims.displayed)
    transform = image._transforms.simplified.set_slice(shown)
    return {
        tuple(np.round(transform((at[0] + box.top, at[1] + box.left)), 6)): int(part[tuple(at)])
        for at in np.argwhere(part)
    }


CASES = {
    "plain": ((40, 50), {}, None),
    "turned": ((40, 50), TURNED, None),
    "affine": ((40, 50), TURNED | {"affine": [[0.9, 0.2, 5], [-0.1, 1.3, -8], [0, 0, 1]]}, None),
    "stack": ((7, 40, 50), {"scale": (3, 1, 0.5), "translate": (100, 5, 6)}, None),
    "turned stack": (
        (7, 40, 50),
        {"scale": (3, 1, 0.5), "affine": [[1, 0, 0, 9], [0, 0.6, 0.8, 1], [0, -0.8, 0.6, 2],
                                          [0, 0, 0, 1]]},
        None,
    ),
    "axes mixed": ((7, 40, 50), {"affine": MIXED, "scale": (2, 1, 1)}, None),
    "channels": ((3, 40, 50), {"scale": (3, 1, 0.5), "translate": (100, 5, 6)}, 0),
    "stack with channels": ((7, 3, 40, 50), {"scale": (3, 2, 1, 0.5)}, 1),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_every_pixel_is_drawn_where_the_image_has_it(
    case: str, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not whole:
        cut_out(monkeypatch)
    shape, options, channel_axis = CASES[case]
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros(shape), **options)
    overlay = make(viewer, image, channel_axis)
    random = np.random.default_rng(0)

    def go_to(step: int) -> None:
        index = [step, *(0 for _ in shape[1:])]
        for axis, value in step_to(image, viewer.dims, index).items():
            viewer.dims.set_point(axis, value)

    for step in (shape[0] - 1, 0, shape[0] // 2):
        go_to(step)
        plane = displayed_plane(viewer.dims, image, channel_axis)
        assert plane is not None
        box = Box(int(random.integers(30)), int(random.integers(40)), 4, 6)
        part = random.integers(0, 3, box.shape).astype(np.uint8)
        overlay.show(plane, box, part)
        assert drawn(overlay.layer, viewer) == expected(image, viewer, box, part)
        assert not overlay.layer.editable
    if len(shape) > 2 and channel_axis != 0:
        go_to(0)
        assert drawn(overlay.layer, viewer) == {}, "It is on its own plane only."


@pytest.mark.parametrize("whole", [True, False])
def test_it_goes_where_the_image_goes(whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not whole:
        cut_out(monkeypatch)
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((40, 50)))
    overlay = make(viewer, image)
    plane = displayed_plane(viewer.dims, image)
    assert plane is not None
    box, part = Box(11, 17, 3, 2), np.ones((3, 2), np.uint8)
    for name, value in TURNED.items():
        overlay.show(plane, box, part)
        setattr(image, name, value)
        overlay.follow()
        assert drawn(overlay.layer, viewer) == expected(image, viewer, box, part)
        overlay.clear()
        setattr(image, name, value)
        overlay.follow()
        assert drawn(overlay.layer, viewer) == {}


boxes = st.builds(Box, st.integers(0, 15), st.integers(0, 15), st.integers(0, 4), st.integers(0, 4))


@pytest.mark.parametrize("whole", [True, False])
@given(shown=st.lists(st.tuples(st.integers(0, 2), boxes | st.none()), max_size=6))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_the_latest_part_is_shown(
    whole: bool, shown: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was shown before, on whichever plane; nothing of it is left."""
    if not whole:
        cut_out(monkeypatch)
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((3, 20, 20)))
    overlay = make(viewer, image)
    latest: tuple[int, Box] | None = None
    for step, box in shown:
        viewer.dims.set_point(0, step)
        plane = displayed_plane(viewer.dims, image)
        assert plane is not None
        if box is None:
            overlay.clear()
        else:
            overlay.show(plane, box, np.full(box.shape, 2, np.uint8))
        latest = (step, box) if box else None
    assert overlay.empty == (latest is None)
    for step in range(3):
        viewer.dims.set_point(0, step)
        here = latest is not None and latest[0] == step
        wanted = {}
        if latest is not None and here:
            wanted = expected(image, viewer, latest[1], np.full(latest[1].shape, 2))
        assert drawn(overlay.layer, viewer) == wanted


def test_large_images_cost_no_memory_of_their_size() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((2100, 2100), np.uint8), contrast_limits=(0, 1))
    overlay = make(viewer, image)
    plane = displayed_plane(viewer.dims, image)
    assert plane is not None
    overlay.show(plane, Box(2000, 5, 10, 12), np.ones((10, 12), np.uint8))
    assert overlay.layer.data.size <= 512**2
