"""A slide is predicted tile by tile: as one image, over several days, in little memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from default_model.crowds import crowd
from napari_clickseg.core.instances.distances import object_distances
from napari_clickseg.core.instances.separating import SeparationRules
from napari_clickseg.core.window import Box
from napari_clickseg.data.images import open_image
from napari_clickseg.engine.finding import ObjectFinder
from napari_clickseg.engine.imagewise import predict_unclicked
from napari_clickseg.engine.segmenter import Segmenter
from napari_clickseg.engine.slides import whole_slide
from napari_clickseg.engine.slides.tile_files import UnfinishedError
from napari_clickseg.engine.slides.whole_slide import SlideError, SlideOrder, predict_slide
from napari_clickseg.formats.annotated import AnnotatedImage
from napari_clickseg.models.card import ObjectsSpec
from tests.engine.slides.surroundings import Surroundings, model, picture
from tests.engine.test_finding import Told

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.models.card import ModelCard

IDS = (3, 700)
ORDER = SlideOrder("sha", IDS)
ABOUT = AnnotatedImage("slide", np.zeros((1, 1), int))


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_slide, "_SIDES", (100,))
    monkeypatch.setattr(whole_slide, "BLOCK", 100)


def stored(out: Path, level: int = 0) -> np.ndarray:
    return np.asarray(open_image(out, ids=True).levels[level][:, :])


def test_a_slide_has_the_classes_of_the_image_predicted_in_one_go(tmp_path: Path) -> None:
    image, segmenter, out = picture((230, 1100)), model(), tmp_path / "a.zarr"
    whole, unsure = predict_unclicked(segmenter, image)
    told: list[tuple[int, int]] = []
    found = predict_slide(segmenter, image, out, ORDER, ABOUT, on_tile=lambda *at: told.append(at))
    assert found is not None
    np.testing.assert_array_equal(stored(out), np.array((0, *IDS))[whole])
    np.testing.assert_array_equal(stored(out, 1), stored(out)[::2, ::2])
    assert found.uncertainty == pytest.approx(unsure, rel=1e-5)
    assert found.pixels == {1: (whole == 1).sum(), 2: (whole == 2).sum()}
    assert told == [(n, 33) for n in range(1, 34)]
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"], "nothing is left beside it"


def test_what_was_stopped_goes_on_with_the_tiles_that_are_not_finished(tmp_path: Path) -> None:
    image, segmenter, out = picture((230, 310)), model(), tmp_path / "a.zarr"
    network = segmenter.network
    assert isinstance(network, Surroundings)

    def predict(upto: int, order: SlideOrder = ORDER, **options: Any) -> Any:
        asked = iter(range(100))
        network.runs = 0
        return predict_slide(
            segmenter, image, out, order, ABOUT, stop=lambda: next(asked) >= upto, **options
        )

    assert predict(8) is None
    assert not out.exists()
    first = network.runs
    assert predict(10) is None
    assert 0 < network.runs < first
    with pytest.raises(UnfinishedError, match="delete it, or give --overwrite"):
        predict(99, SlideOrder("another", IDS))
    broken = sorted((tmp_path / "a.zarr.unfinished").glob("*.npz"))[2]
    broken.write_bytes(broken.read_bytes()[:50])
    assert predict(99) is not None
    assert 0 < network.runs < first
    np.testing.assert_array_equal(
        stored(out), np.array((0, *IDS))[predict_unclicked(segmenter, image)[0]]
    )
    assert predict(2, SlideOrder("another", IDS), anew=True) is None
    assert stored(out).any(), "what is there stays until all of the new one is found"


def test_a_region_has_what_the_whole_slide_has_there_and_nothing_outside(tmp_path: Path) -> None:
    image, segmenter, out = picture((230, 310)), model(), tmp_path / "a.zarr"
    box = Box(50, 70, 120, 199)
    predict_slide(segmenter, image, out, SlideOrder("sha", IDS, box), ABOUT)
    wanted = np.zeros(image.shape, int)
    wanted[box.slices] = np.array((0, *IDS))[predict_unclicked(segmenter, image)[0]][box.slices]
    np.testing.assert_array_equal(stored(out), wanted)
    with pytest.raises(SlideError, match="outside the image, which has 230 x 310"):
        predict_slide(segmenter, image, out, SlideOrder("sha", IDS, Box(400, 0, 9, 9)), ABOUT)


def test_background_of_one_colour_is_asked_for_once_and_answered_as_ever(tmp_path: Path) -> None:
    image, segmenter, out = np.full((500, 500), 240, np.uint8), model(), tmp_path / "a.zarr"
    image[100:150, 100:150] = picture((50, 50))
    network = segmenter.network
    assert isinstance(network, Surroundings)
    whole, _ = predict_unclicked(segmenter, image)
    network.runs = 0
    predict_slide(segmenter, image, out, ORDER, ABOUT)
    assert network.runs < 15, "windows with something in them, and one of background"
    np.testing.assert_array_equal(stored(out), np.array((0, *IDS))[whole])


@pytest.mark.parametrize("as_objects", [True, False])
def test_objects_are_joined_across_tiles_as_in_memory(
    tmp_path: Path, make_card: Callable[..., ModelCard], as_objects: bool
) -> None:
    labels = crowd(3, 230, 300)
    image = np.concatenate([(labels > 0)[None] * 0.5, object_distances(labels)]).transpose(1, 2, 0)
    image = image.astype(np.float32)
    card = make_card(
        encoding="image",
        automatic=True,
        schema_version=2,
        classes=("cell",),
        window={"zoom": 1.0},
        objects=ObjectsSpec(smallest=5, span=26),
    )
    segmenter = Segmenter(Told(), card, device="cpu", half=False)
    rules = SeparationRules(smallest=5)
    known = ObjectFinder.of(segmenter, image, rgb=False).find(rules, block=100)
    assert known is not None
    out = tmp_path / "a.zarr"
    order = SlideOrder("sha", (7,), rules=rules, as_objects=as_objects)
    found = predict_slide(segmenter, image, out, order, ABOUT, rgb=False)
    assert found is not None
    assert found.objects == len(known.scores) > 20
    assert found.uncertainty == pytest.approx(known.doubt)
    wanted = known.labels if as_objects else (known.labels > 0) * 7
    np.testing.assert_array_equal(stored(out), wanted)
    if as_objects:
        assert found.notes == known.notes("sha", {1: 7})
