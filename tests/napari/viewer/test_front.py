"""What is put beside what is open is brought into view, and is measured as that is."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_clickseg._napari.viewer.front import Front, bring_into_view, take_units


@pytest.mark.parametrize("shape", [(40, 50), (5, 40, 50), (3, 5, 40, 50)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_layer_fills_the_canvas_however_many_axes_others_have(
    shape: tuple[int, ...], turned: bool
) -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros(shape), scale=(0.5,) * len(shape))
    beside = viewer.add_labels(np.zeros((20, 60), int), translate=(5, 100), scale=(0.5, 0.5))
    if turned:
        viewer.dims.order = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
    bring_into_view(viewer, [beside])
    size, middle = np.array([9.5, 29.5]), np.array([9.75, 114.75])
    size, middle = (size[::-1], middle[::-1]) if turned else (size, middle)
    camera = viewer.scene.camera
    np.testing.assert_allclose(camera.center[-2:], middle)
    filled = camera.zoom * size / np.array(viewer.canvas.size)
    assert filled.max() == pytest.approx(0.95)


def test_what_is_not_seen_along_its_axes_is_left_to_napari() -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((5, 40, 50)))
    beside = viewer.add_labels(np.zeros((20, 60), int))
    viewer.dims.order = (1, 0, 2)
    bring_into_view(viewer, [beside])
    viewer.dims.order, viewer.dims.ndisplay = (0, 1, 2), 3
    bring_into_view(viewer, [beside])


def test_what_is_brought_to_the_front_is_in_view_and_the_camera_stays_where_it_is_already() -> None:
    viewer = ViewerModel()
    near = viewer.add_image(np.zeros((5, 40, 50)))
    far = viewer.add_image(np.zeros((5, 40, 50)), translate=(0, 0, 1000))
    front = Front(viewer)
    bring_into_view(viewer, [near])
    viewer.scene.camera.zoom *= 3
    before = viewer.scene.camera.center, viewer.scene.camera.zoom
    front.bring([near], [far])
    assert (viewer.scene.camera.center, viewer.scene.camera.zoom) == before
    front.bring([far], [near])
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (19.5, 1024.5))


def test_a_small_image_brought_to_the_front_after_a_large_one_is_no_speck() -> None:
    viewer = ViewerModel()
    large = viewer.add_image(np.zeros((1400, 1400)))
    small = viewer.add_image(np.zeros((160, 160)))
    front = Front(viewer)
    bring_into_view(viewer, [large])
    front.bring([small], [large])
    filled = 159 * viewer.scene.camera.zoom / np.array(viewer.canvas.size)
    assert filled.max() == pytest.approx(0.95)
    viewer.scene.camera.zoom /= 1.5
    before = viewer.scene.camera.zoom
    front.bring([small], [large])
    assert viewer.scene.camera.zoom == before, "the user may see more than the image"


def test_a_layer_beside_others_has_their_units() -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((5, 40, 50)), units=("s", "um", "um"))
    flat, deep = Labels(np.zeros((20, 60), int)), Image(np.zeros((2, 3, 4, 5)))
    own = deep.units
    for layer in (flat, deep):
        take_units(viewer, layer)
    assert [str(one) for one in flat.units] == ["micrometer"] * 2
    assert deep.units == own, "It has axes that nothing else has."
    viewer.layers.append(flat)
    assert viewer.layers.extent.units is not None, "Else napari warns."


def test_the_first_layer_keeps_its_units() -> None:
    layer = Labels(np.zeros((20, 60), int), units=("mm", "mm"))
    take_units(ViewerModel(), layer)
    assert [str(one) for one in layer.units] == ["millimeter"] * 2
