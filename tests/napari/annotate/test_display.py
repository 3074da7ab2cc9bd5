from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.colormaps.standardize_color import transform_color

from napari_clickseg._napari.annotate.display import Display
from napari_clickseg._napari.annotate.state import AnnotateState, ClassSpec
from napari_clickseg._napari.viewer.colours import PALETTE
from napari_clickseg._napari.viewer.planes import displayed_plane
from napari_clickseg.core.prompts import Prompt
from napari_clickseg.core.window import Box
from napari_clickseg.engine.prediction import Prediction


def prediction(ids: np.ndarray) -> Prediction:
    box = Box(2, 3, *ids.shape)
    mask = ids > 0
    return Prediction((20, 30), box, mask.astype(np.float32), mask, ids.astype(np.uint8), box)


@pytest.mark.parametrize("scheme", ["instances", "classes"])
def test_each_class_of_a_prediction_is_drawn_in_its_own_colour(scheme: Any) -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((20, 30)))
    display = Display(image, None, lambda layer, below: viewer.add_layer(layer))
    plane = displayed_plane(viewer.dims, image)
    assert plane is not None
    classes = (ClassSpec(1, "mother", "#ff0000"), ClassSpec(2, "bud", "#00ff00"))
    state = AnnotateState(scheme=scheme, classes=classes, class_index=1)

    def colours(*ids: int) -> np.ndarray:
        display.show(state, plane, Prompt(), prediction(np.array([ids])))
        assert display.overlay is not None
        return display.overlay.layer.colormap.map(np.array(ids, np.uint8))

    several = transform_color(["#ff0000", "#00ff00", PALETTE[2]])
    np.testing.assert_allclose(colours(1, 2, 3), several, atol=0.01)
    # A mask of one class is the one that the user annotates.
    np.testing.assert_allclose(colours(1), transform_color("#00ff00"), atol=0.01)
    np.testing.assert_allclose(colours(2, 1), several[[1, 0]], atol=0.01)
