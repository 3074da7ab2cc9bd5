"""Objects found all at once: in windows and blocks, with scores and classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from default_model.crowds import crowd
from napari_clickseg.core.instances.distances import object_distances
from napari_clickseg.core.instances.separating import SeparationRules
from napari_clickseg.core.window import Box
from napari_clickseg.engine.finding import ObjectFinder, class_ids
from napari_clickseg.engine.segmenter import Segmenter
from napari_clickseg.evaluation.matching import match
from napari_clickseg.models.card import ModelCard, ObjectsSpec

if TYPE_CHECKING:
    from collections.abc import Callable


class Told(nn.Module):
    """Answers what the image's channels say: foreground (or classes), then the distances."""

    def __init__(self, classes: int = 1) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        foreground = 20 * (x[:, :1] - 0.25)
        distances = torch.logit(x[:, 1:3].clamp(1e-4, 1 - 1e-4))
        if self.classes == 1:
            return torch.cat([foreground, distances], 1)
        second = foreground + 40 * (x[:, :1] - 0.75)
        return torch.cat([0 * foreground, foreground - second.relu(), second, distances], 1)


@pytest.fixture
def finder(make_card: Callable[..., ModelCard]) -> Callable[..., ObjectFinder]:
    def make(
        labels: Any, *, zoom: float = 1.0, smallest: int = 1, bright: Any = None
    ) -> ObjectFinder:
        foreground = (labels > 0) * 0.5 if bright is None else bright
        image = np.concatenate([foreground[None], object_distances(labels)]).transpose(1, 2, 0)
        card = make_card(
            encoding="image",
            automatic=True,
            schema_version=2,
            classes=("cell",) if bright is None else ("cell", "bud"),
            window={"zoom": zoom},
            objects=ObjectsSpec(smallest=smallest, span=26),
        )
        segmenter = Segmenter(Told(len(card.classes)), card, device="cpu", half=False)
        made = segmenter.start(image.astype(np.float32), rgb=False, contrast_limits=(0.0, 1.0))
        return ObjectFinder(made._prepared())

    return make


@pytest.mark.parametrize("zoom", [1.0, 0.6, 1.7])
def test_objects_that_the_network_tells_apart_are_found_at_any_zoom(
    finder: Callable[..., ObjectFinder], zoom: float
) -> None:
    labels = crowd(3, 230, 300)
    objects = finder(labels, zoom=zoom).find()
    assert objects is not None
    assert match(objects.labels, labels).pq > 0.88
    assert len(objects.scores) == len(objects.classes) == objects.labels.max()


@pytest.mark.parametrize("block", [70, 111])
def test_blocks_give_what_one_look_gives(finder: Callable[..., ObjectFinder], block: int) -> None:
    made = finder(crowd(4, 230, 300), smallest=20)
    whole, parts = made.find(), made.find(block=block, with_probability=True)
    assert whole is not None and parts is not None and parts.probability is not None
    assert np.array_equal(whole.labels, parts.labels)
    assert np.allclose(whole.scores, parts.scores, atol=1e-6)
    assert whole.doubt == pytest.approx(parts.doubt)
    assert np.array_equal(made.maps(Box(0, 0, 230, 230)).separated(made.rules), whole.labels)
    assert np.array_equal(parts.probability, made.maps(Box(0, 0, 230, 230)).foreground)


def test_a_region_shows_what_the_whole_image_shows_there(
    finder: Callable[..., ObjectFinder],
) -> None:
    made = finder(crowd(5, 230, 300))
    region = Box(40, 30, 120, 140)
    whole, part = made.find(), made.find(region=region)
    assert whole is not None and part is not None and part.labels.shape == region.shape
    inner = (slice(30, -30), slice(30, -30))
    assert match(part.labels[inner], whole.labels[region.slices][inner]).pq > 0.98


def test_each_object_gets_the_class_of_its_pixels(finder: Callable[..., ObjectFinder]) -> None:
    labels = np.zeros((90, 90), int)
    labels[10:30, 10:30], labels[10:30, 30:50], labels[60:80, 60:80] = 1, 2, 3
    bright = np.choose(labels, [0.0, 0.5, 1.0, 1.0])
    objects = finder(labels, bright=bright).find()
    assert objects is not None and objects.classes.tolist() == [1, 2, 2]


@pytest.mark.parametrize(
    ("named", "ids"),
    [
        ({"bud": 4, "cell": 9}, {1: 9, 2: 4}),  # by their names
        ({"bud": 4}, {1: 7, 2: 4}),  # else as it was learned
        ({"debris": 7}, {1: 9, 2: 8}),  # unless another class has that id
        ({"debris": 7, "dust": 8}, {1: 9, 2: 10}),
    ],
)
def test_a_class_of_a_model_is_never_taken_for_another_one_of_the_project(
    named: dict[str, int], ids: dict[int, int], make_card: Callable[..., Any]
) -> None:
    card = make_card(classes=("cell", "bud"), class_ids=(7, 8))
    assert class_ids(card, named) == ids
    alone = make_card(classes=("cell",), class_ids=(7,))
    assert class_ids(alone, {"cell": 3}) == {1: 3}
    assert class_ids(alone, {"bud": 7}) == {}, "it tells no classes apart"


def test_what_was_looked_at_once_is_divided_by_other_rules_without_the_network(
    finder: Callable[..., ObjectFinder], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = crowd(3, 230, 300)
    rules = SeparationRules(seed_height=0.4, smallest=40)
    wanted = finder(labels).find(rules, block=111)
    remembers = ObjectFinder(finder(labels).estimator, memory=1 << 28)
    remembers.find(block=111)

    def no_network(*_: Any) -> Any:
        raise AssertionError("the network was run again")

    monkeypatch.setattr(remembers, "maps", no_network)
    again = remembers.find(rules, block=111)
    assert wanted is not None and again is not None
    assert np.array_equal(again.labels, wanted.labels)
    assert np.array_equal(again.scores, wanted.scores)


def test_the_least_certain_object_comes_first(finder: Callable[..., ObjectFinder]) -> None:
    labels = np.zeros((90, 90), int)
    labels[10:30, 10:30], labels[60:80, 60:80] = 1, 2
    made = finder(labels)
    maps = made.maps(Box(0, 0, 90, 90))
    maps.probabilities[0][10:30, 10:30] *= 0.7
    made.maps = lambda box: maps  # type: ignore[method-assign]
    objects = made.find()
    assert objects is not None and objects.least_certain == (1, 2)
    assert objects.scores[0] < objects.scores[1] <= 1
    assert objects.doubt == pytest.approx(1 - objects.scores.mean())


def test_where_nothing_is_nothing_is_found_and_work_that_is_stopped_gives_nothing(
    finder: Callable[..., ObjectFinder],
) -> None:
    empty = finder(np.zeros((40, 300), int))
    objects = empty.find()
    assert objects is not None and objects.labels.max() == 0 and objects.least_certain == ()
    assert objects.doubt < 0.01
    assert empty.find(stop=lambda: True) is None


def test_a_model_that_tells_no_objects_apart_says_how_to_train_one(
    bright_segmenter: Callable[..., Segmenter],
) -> None:
    with pytest.raises(ValueError, match="task=instances"):
        ObjectFinder.of(bright_segmenter(), np.zeros((40, 40)))


def test_small_objects_are_left_out_after_blocks_are_joined(
    finder: Callable[..., ObjectFinder],
) -> None:
    labels = np.zeros((60, 140), int)
    labels[20:30, 60:80] = 1
    objects = finder(labels).find(SeparationRules(0.1, 150), block=70)
    assert objects is not None and objects.labels.max() == 1
