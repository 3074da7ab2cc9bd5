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
from napari_clickseg.formats.shapes.drawn_regions import box_around, read_regions
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


@pytest.fixture
def cells(make_card: Callable[..., ModelCard]) -> Callable[[], tuple[np.ndarray, Segmenter]]:
    """Return a crowd of cells, and a model that tells them apart."""

    def make() -> tuple[np.ndarray, Segmenter]:
        labels = crowd(3, 230, 300)
        channels = [(labels > 0)[None] * 0.5, object_distances(labels)]
        image = np.concatenate(channels).transpose(1, 2, 0).astype(np.float32)
        card = make_card(
            encoding="image",
            automatic=True,
            schema_version=2,
            classes=("cell",),
            window={"zoom": 1.0},
            objects=ObjectsSpec(smallest=5, span=26),
        )
        return image, Segmenter(Told(), card, device="cpu", half=False)

    return make


def stored(out: Path, level: int = 0) -> np.ndarray:
    return np.asarray(open_image(out, ids=True).levels[level][:, :])


def test_a_slide_has_the_classes_of_the_image_predicted_in_one_go(tmp_path: Path) -> None:
    image, segmenter, out = picture((230, 1100)), model(), tmp_path / "a.zarr"
    whole, unsure = predict_unclicked(segmenter, image)
    told: list[tuple[int, int]] = []
    prediction = predict_slide(
        segmenter, image, out, ORDER, ABOUT, on_tile=lambda *at: told.append(at)
    )
    assert prediction is not None
    np.testing.assert_array_equal(stored(out), np.array((0, *IDS))[whole])
    np.testing.assert_array_equal(stored(out, 1), stored(out)[::2, ::2])
    assert prediction.uncertainty == pytest.approx(unsure, rel=1e-5)
    assert prediction.pixels == {1: (whole == 1).sum(), 2: (whole == 2).sum()}
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


@pytest.mark.parametrize("objects", [False, True])
def test_outlines_leave_out_what_lies_in_none_of_them(
    tmp_path: Path, cells: Callable[[], tuple[np.ndarray, Segmenter]], objects: bool
) -> None:
    image, segmenter = cells() if objects else (picture((230, 300)), model())
    rules = SeparationRules(smallest=5) if objects else None
    table = tmp_path / "drawn.csv"
    table.write_text(
        "index,shape-type,vertex-index,axis-0,axis-1\n"
        "0,rectangle,0,9.6,19.6\n0,rectangle,1,9.6,60.4\n"
        "0,rectangle,2,40.4,60.4\n0,rectangle,3,40.4,19.6\n"
        "1,ellipse,0,20,50\n1,ellipse,1,20,90\n1,ellipse,2,60,90\n1,ellipse,3,60,50\n"
        "2,path,0,0,0\n2,path,1,9,9\n"
    )
    outlines = read_regions(table)
    inside = np.zeros(image.shape[:2], bool)
    inside[10:41, 20:61] = True
    y, x = np.ogrid[: image.shape[0], : image.shape[1]]
    inside |= (y - 40) ** 2 + (x - 70) ** 2 < 19.9**2
    box = Box.from_edges(*box_around(outlines))
    order = SlideOrder("sha", IDS[:1] if objects else IDS, box, outlines, rules=rules)
    out, told = tmp_path / "a.zarr", []
    prediction = predict_slide(
        segmenter, image, out, order, ABOUT, rgb=False if objects else None,
        on_tile=lambda *at: told.append(at),
    )  # fmt: skip
    assert prediction is not None
    assert told[-1] == (1, 1), "tiles without anything of it are not looked at"
    beside = ~inside & ~((y - 40) ** 2 + (x - 70) ** 2 < 20.1**2)
    assert not stored(out)[beside].any()
    if objects:
        assert prediction.objects == len(np.unique(stored(out))) - 1 > 3, "each of them is seen"
    else:
        whole = np.array((0, *IDS))[predict_unclicked(segmenter, image)[0]]
        np.testing.assert_array_equal(stored(out)[inside], whole[inside])


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
    tmp_path: Path, cells: Callable[[], tuple[np.ndarray, Segmenter]], as_objects: bool
) -> None:
    image, segmenter = cells()
    rules = SeparationRules(smallest=5)
    known = ObjectFinder.of(segmenter, image, rgb=False).find(rules, block=100)
    assert known is not None
    out = tmp_path / "a.zarr"
    order = SlideOrder("sha", (7,), rules=rules, as_objects=as_objects)
    prediction = predict_slide(segmenter, image, out, order, ABOUT, rgb=False)
    assert prediction is not None
    assert prediction.objects == len(known.scores) > 20
    assert prediction.uncertainty == pytest.approx(known.doubt)
    wanted = known.labels if as_objects else (known.labels > 0) * 7
    np.testing.assert_array_equal(stored(out), wanted)
    if as_objects:
        assert prediction.notes == known.notes("sha", {1: 7})
