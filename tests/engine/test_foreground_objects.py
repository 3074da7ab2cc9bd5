"""Networks of others find objects by a foreground, and by a boundary where they know one."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from default_model.crowds import crowd
from napari_clickseg.core.window import Box
from napari_clickseg.engine.finding import ObjectFinder, card_rules
from napari_clickseg.engine.segmenter import Segmenter, load_segmenter
from napari_clickseg.evaluation.matching import match, matching_figures
from napari_clickseg.models.sharing.foreign_network import ForeignNetwork
from napari_clickseg.models.sharing.onnx_import import import_onnx

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.models.card import ModelCard

Labels = Any


class Said(nn.Module):
    """Answers what the image's channels say, as logits."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        return 20 * (x[:, : self.outputs] - 0.5)


def foreign(make_card: Callable[..., ModelCard], **said: Any) -> ModelCard:
    card = make_card(encoding="image", automatic=True, window={"zoom": 1.0}, **said)
    return card.model_copy(update={"training": {}})


def finder(card: ModelCard, channels: list[Labels]) -> ObjectFinder:
    """Look at an image whose channels are what the network answers; others are empty."""
    image = np.zeros((*channels[0].shape, 3), np.float32)
    image[..., : len(channels)] = np.stack(channels, -1)
    segmenter = Segmenter(Said(card.class_outputs), card, device="cpu", half=False)
    made = segmenter.start(image, rgb=False, contrast_limits=(0.0, 1.0))
    return ObjectFinder(made._prepared())


def disc(shape: tuple[int, int], y: float, x: float, radius: float) -> Labels:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(rows - y, columns - x) <= radius


@pytest.mark.parametrize("radius", [5, 12, 36])
def test_by_a_foreground_alone_objects_are_parted_where_it_is_narrow_whatever_their_size(
    make_card: Callable[..., ModelCard], radius: int
) -> None:
    shape = (4 * radius, 12 * radius)
    inside = np.zeros(shape, bool)
    for x in (2, 3.6, 8):  # two that touch, and one alone
        inside |= disc(shape, 2 * radius, x * radius, radius)
    inside[2 * radius - radius // 2 : 2 * radius + radius // 2, 8 * radius : 11 * radius] = True
    objects = finder(foreign(make_card), [inside.astype(float)]).find()
    assert objects is not None
    assert objects.labels.max() == 3 and np.array_equal(objects.labels > 0, inside)
    left, right = (objects.labels[2 * radius, round(x * radius)] for x in (1.5, 4.1))
    assert left != right
    assert (objects.classes == 1).all() and ((objects.scores > 0) & (objects.scores <= 1)).all()


@pytest.mark.parametrize(
    ("classes", "overlapping", "number"),
    [
        (("cell", "boundary"), True, 1),
        (("Cell borders", "nucleus"), True, 2),
        (("cell", "boundary"), False, 1),
    ],
)
def test_by_a_boundary_objects_are_parted_where_it_is_likely_and_it_belongs_to_them(
    make_card: Callable[..., ModelCard], classes: tuple[str, ...], overlapping: bool, number: int
) -> None:
    inside, edge = np.zeros((60, 90)), np.zeros((60, 90))
    inside[10:50, 10:80] = 1
    edge[10:50, 44:47] = 1  # where the foreground is as wide as anywhere
    channels = [inside, edge] if number == 1 else [edge, inside]
    if not overlapping:
        channels = [1 - inside, inside - edge, edge]
    made = finder(foreign(make_card, classes=classes, overlapping=overlapping), channels)
    objects = made.find()
    assert objects is not None
    assert objects.labels.max() == 2 and np.array_equal(objects.labels > 0, inside > 0)
    assert objects.labels[30, 20] != objects.labels[30, 70]
    assert (objects.classes == number).all()


def test_a_large_image_gives_the_same_as_a_single_look(
    make_card: Callable[..., ModelCard],
) -> None:
    labels = crowd(3, 400, 60)
    made = finder(foreign(make_card), [(labels > 0).astype(float)])
    whole, parts = made.find(), made.find(block=96)
    assert whole is not None and parts is not None
    assert whole.labels.max() > 20
    assert np.array_equal(whole.labels > 0, parts.labels > 0)
    # Where land is level, which flood comes first hangs on what else is seen.
    assert matching_figures([match(parts.labels, whole.labels)])["ap_75"] == 1
    part = made.find(region=Box(0, 0, 200, 200))
    assert part is not None and part.labels.shape == (200, 200)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"classes": ("cell", "bud")}, "name them so: --classes cell,boundary"),
        ({"classes": ("a", "b", "c"), "overlapping": True}, "3 classes (a, b, c)"),
        ({"encoding": "channels"}, "answers clicks"),
        ({"training": {"spec": {}}}, "train one with the task instances"),
    ],
)
def test_a_network_whose_answer_does_not_fit_says_why(
    make_card: Callable[..., ModelCard], said: dict[str, Any], why: str
) -> None:
    card = foreign(make_card).model_copy(update=said)
    with pytest.raises(ValueError, match=r"The model .*") as error:
        card_rules(card)
    assert why in str(error.value) and "\n" not in str(error.value)


class Stranger(nn.Module):
    """What others would have trained: the bundled model's foreground, and its boundary or none."""

    def __init__(self, network: nn.Module, boundary: bool) -> None:
        super().__init__()
        self.network, self.boundary = network, boundary

    def forward(self, image: Tensor) -> Tensor:
        foreground, edge, _ = torch.sigmoid(self.network(image)).split(1, 1)
        return (
            torch.cat([foreground, foreground * (1 - 3 * edge).clamp(0)], 1)
            if self.boundary
            else foreground
        )


@pytest.mark.slow
@pytest.mark.parametrize("boundary", [False, True])
def test_a_network_that_came_as_onnx_tells_apart_what_touches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boundary: bool
) -> None:
    from scipy import ndimage

    from default_model.crowds import rendered

    monkeypatch.setenv("CLICKSEG_MODELS", str(tmp_path / "models"))
    nuclei = load_segmenter("nuclei", "cpu")
    size, path = nuclei.card.window.size, tmp_path / "unet.onnx"
    network = Stranger(nuclei.network.float().eval(), boundary)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        window = torch.rand(1, nuclei.card.image_channels, size, size)
        torch.onnx.export(network, (window,), path, dynamo=False)
    classes = ("cell", "boundary") if boundary else ("cell",)
    wish = ForeignNetwork(classes=classes, overlapping=boundary, outputs="probabilities")
    import_onnx(path, wish)
    labels = crowd(1, 256, 60, (9, 14))
    image = rendered(labels, np.random.default_rng(0))
    made = ObjectFinder.of(load_segmenter("unet", "cpu"), image)
    objects = made.find(with_probability=True)
    assert objects is not None and objects.probability is not None
    pieces, _ = ndimage.label(objects.probability > 0.5, np.ones((3, 3)))
    apart, together = (
        matching_figures([match(one, labels)])["ap_50"] for one in (objects.labels, pieces)
    )
    assert apart > max(0.4, together + 0.15), f"{apart:.3f}, of pieces {together:.3f}"
