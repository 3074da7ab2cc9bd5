"""A stack is predicted plane by plane into one OME-Zarr, and goes on where it was stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_clickseg.core.instances.separating import SeparationRules
from napari_clickseg.data.images import open_image
from napari_clickseg.engine.imagewise import predict_unclicked
from napari_clickseg.engine.slides.whole_slide import SlideOrder
from napari_clickseg.engine.slides.whole_stack import predict_stack
from napari_clickseg.formats.annotated import AnnotatedImage
from tests.engine.slides.surroundings import Surroundings, model, picture
from tests.engine.slides.test_whole_slide import cells  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.engine.segmenter import Segmenter

ABOUT = AnnotatedImage("stack", np.zeros((1, 1), int))


def test_planes_have_the_classes_that_each_has_alone_and_finished_ones_stay(
    tmp_path: Path,
) -> None:
    planes = np.stack([picture((90, 100), seed) for seed in range(3)])
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="minisblack", metadata={"axes": "ZYX"})
    stored, segmenter, out = open_image(tmp_path / "a.tif"), model(), tmp_path / "a.zarr"
    network = segmenter.network
    assert isinstance(network, Surroundings)
    order = SlideOrder("sha", (4, 9))
    asked = iter(range(9))
    assert predict_stack(segmenter, stored, out, order, ABOUT, stop=lambda: next(asked) > 2) is None
    network.runs = 0
    predict_unclicked(segmenter, planes[0])
    each, network.runs = network.runs, 0
    told: list[tuple[int, int]] = []
    prediction = predict_stack(
        segmenter, stored, out, order, ABOUT, on_plane=lambda *at: told.append(at)
    )
    assert prediction is not None
    assert network.runs <= 2 * each
    assert told[-1] == (3, 3)
    wanted = np.stack([np.array([0, 4, 9])[predict_unclicked(segmenter, p)[0]] for p in planes])
    written = open_image(out, ids=True)
    assert written.axes == "ZYX"
    np.testing.assert_array_equal(np.asarray(written.levels[0][:, :, :]), wanted)
    assert prediction.pixels == {1: (wanted == 4).sum(), 2: (wanted == 9).sum()}
    assert not (tmp_path / "a.zarr.unfinished").exists()


def test_an_id_of_an_object_is_in_one_plane_alone(
    tmp_path: Path,
    cells: Callable[[], tuple[np.ndarray, Segmenter]],  # noqa: F811
) -> None:
    image, segmenter = cells()
    np.save(tmp_path / "a.npy", np.stack([image, image[::-1]]))
    stored = open_image(tmp_path / "a.npy")
    assert [name for name, _ in stored.stack_axes] != []
    order = SlideOrder("sha", (7,), rules=SeparationRules(smallest=5))
    prediction = predict_stack(segmenter, stored, tmp_path / "a.zarr", order, ABOUT)
    assert prediction is not None
    assert prediction.objects is not None
    labels = np.asarray(open_image(tmp_path / "a.zarr", ids=True).levels[0][:, :, :])
    ids = [set(np.unique(plane)) - {0} for plane in labels]
    assert not ids[0] & ids[1]
    assert ids[0] | ids[1] == set(range(1, prediction.objects + 1)) == set(prediction.notes.objects)
    with pytest.raises(ValueError, match="delete it, or give --overwrite"):
        stopped = SlideOrder("other", (7,), rules=SeparationRules(smallest=5))
        predict_stack(segmenter, stored, tmp_path / "b.zarr", order, ABOUT, stop=lambda: True)
        predict_stack(segmenter, stored, tmp_path / "b.zarr", stopped, ABOUT)
