"""What a network sees, in all architectures: maps that lie where they belong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_clickseg.core.clicks import Click
from napari_clickseg.core.prompts import Prompt
from napari_clickseg.engine.segmenter import Segmenter, load_segmenter
from napari_clickseg.explain.gesture_effect import gesture_effects
from napari_clickseg.explain.last_pass import ExplainError
from napari_clickseg.explain.maps import Explanation
from napari_clickseg.models.card import ModelCard, WindowSpec
from napari_clickseg.models.choices import architectures
from napari_clickseg.models.network import build_network
from napari_clickseg.models.onnx_network import OnnxNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.engine.session import Session

SIZE = 64
QUICK = {"unet", "fpn", "segformer"}


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """A bright disk on dark ground, left of the middle."""
    y, x = np.mgrid[:90, :120]
    return (40 + 160 * ((y - 45) ** 2 + (x - 40) ** 2 < 18**2)).astype(np.uint8)


def segmenter_of(*, bias: float = 5.0, **fields: Any) -> Segmenter:
    """A network of random weights that finds something, or with a low bias nothing."""
    known: dict[str, Any] = {"name": "a", "architecture": "unet", "encoder": "tu-resnet10t"}
    card = ModelCard.model_validate(known | {"window": WindowSpec(size=SIZE)} | fields)
    torch.manual_seed(0)
    network = build_network(card)
    head = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        if head.bias is not None and head.bias.shape == (card.outputs,):
            head.bias += bias
    return Segmenter(network, card, device="cpu")


def clicked(segmenter: Segmenter, image: np.ndarray) -> Session:
    session = segmenter.start(image)
    session.click(45, 40)
    return session


@pytest.mark.parametrize(
    "architecture",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK))
        for name in architectures()
    ],
)
def test_every_architecture_shows_its_encoder_and_its_decoder(
    architecture: str, image: np.ndarray
) -> None:
    encoder = "tu-vit_tiny_patch16_224" if architecture == "dpt" else "tu-resnet10t"
    size = 224 if architecture == "dpt" else 128
    segmenter = segmenter_of(
        architecture=architecture, encoder=encoder, window=WindowSpec(size=size)
    )
    explanation = Explanation(segmenter, clicked(segmenter, image))
    for room in ("encoder", "decoder"):
        assert [name for name in explanation.places if name.startswith(room)], explanation.places
    window = explanation.last.window
    for name in explanation.places[:: len(explanation.places) // 2]:
        for placed in (explanation.activations(name, 3), explanation.heat_map(name)):
            assert np.isfinite(placed.data).all()
            # It covers the window, whatever its resolution: half a map pixel beyond its ends.
            for axis in (0, 1):
                count = placed.data.shape[axis - 2]
                first = placed.translate[axis] - placed.scale[axis] / 2
                edge = window.to_image(-0.5, -0.5)[axis]
                assert first == pytest.approx(edge, abs=1e-6)
                assert count * placed.scale[axis] == pytest.approx(window.span)
        assert 0 <= placed.data.min() and placed.data.max() <= 1 + 1e-6


def test_guidance_beside_the_encoder_is_explained_too(image: np.ndarray) -> None:
    segmenter = segmenter_of(fusion="beside", encoding="prompts", guidance_widths=(4, 8, 8))
    explanation = Explanation(segmenter, clicked(segmenter, image))
    assert {"encoder 1", "decoder"} <= set(explanation.places)
    assert 0 <= explanation.attribution().guidance <= 1


def test_what_is_shown_is_what_the_network_computed(image: np.ndarray) -> None:
    """In place activations would have overwritten it, and a copy must not change the model."""
    segmenter = segmenter_of()
    session = clicked(segmenter, image)
    before = session.predict().probability
    explanation = Explanation(segmenter, session)
    shown = explanation.activations("encoder 5", 10_000).data
    with torch.no_grad():
        inputs = torch.from_numpy(explanation.last.inputs)[None]
        real = segmenter.network.get_submodule("encoder")(inputs)[5][0].numpy()
    assert sorted(one.std() for one in shown) == pytest.approx(
        sorted(one.std() for one in real), abs=1e-4
    )
    explanation.attribution()
    assert (clicked(segmenter, image).predict().probability == before).all()


def test_the_default_model_looks_at_the_object_and_rests_on_the_click(image: np.ndarray) -> None:
    segmenter = load_segmenter("default", "cpu")
    session = clicked(segmenter, image)
    explanation = Explanation(segmenter, session)
    heat = explanation.heat_map("decoder").data
    assert heat[explanation.mask].mean() > 2 * heat[~explanation.mask].mean()
    attribution = explanation.attribution()
    assert 0.02 < attribution.guidance < 0.95
    ((effect),) = gesture_effects(session)
    assert effect.gained > 0.9 * session.predict().mask.sum(), "without it there is nothing"


def test_the_difference_that_a_click_makes_is_with_it_less_without(
    image: np.ndarray, bright_segmenter: Callable[..., Segmenter]
) -> None:
    session = clicked(bright_segmenter(), image)
    session.click(10, 100, positive=False)
    prompt = session.history.present
    for k, effect in enumerate(gesture_effects(session)):
        rest = tuple(one for n, one in enumerate(prompt.gestures) if n != k)
        without = session.evaluate(replace(prompt, gestures=rest)).probability
        expected = session.evaluate(prompt).probability - without
        whole = np.zeros_like(expected)
        whole[effect.extent.slices] = effect.difference
        np.testing.assert_allclose(whole, expected, atol=1e-6)
    assert session.history.present == prompt


def test_classes_are_explained_one_by_one(image: np.ndarray) -> None:
    segmenter = segmenter_of(
        encoding="image", classes=("a", "b"), automatic=True,
        window=WindowSpec(size=SIZE, zoom=0.5),
    )  # fmt: skip
    session = segmenter.start(image)
    chosen = Explanation(segmenter, session)
    areas = [chosen.last.mask(k).sum() for k in (1, 2)]
    assert chosen.output == 1 + int(np.argmax(areas))
    with pytest.raises(ExplainError, match="has no class 3; give 1 to 2"):
        Explanation(segmenter, session, output=3)


def test_what_cannot_be_explained_says_why(
    image: np.ndarray, random_segmenter: Callable[..., Segmenter]
) -> None:
    segmenter = random_segmenter()
    with pytest.raises(ExplainError, match="nothing to explain yet; click on an object"):
        Explanation(segmenter, segmenter.start(image))
    plain = segmenter_of()
    with pytest.raises(ExplainError, match="no place 'nowhere'; there are: encoder 1"):
        Explanation(plain, clicked(plain, image)).heat_map("nowhere")
    mask = np.zeros(image.shape, bool)
    mask[40:50, 30:50] = True
    with pytest.raises(ExplainError, match="nothing to explain yet"):
        Explanation(plain, plain.start(image, mask))
    nothing = segmenter_of(bias=-1e4)
    with pytest.raises(ExplainError, match="finds nothing here"):
        Explanation(nothing, clicked(nothing, image), Prompt((Click(45.0, 40.0, True),)))


def test_a_network_of_onnx_says_that_nothing_within_can_be_shown(image: np.ndarray) -> None:
    helper = pytest.importorskip("onnx.helper")
    ends = [helper.make_tensor_value_info(n, 1, ["n", 1, SIZE, SIZE]) for n in ("x", "y")]
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    card = ModelCard(
        name="a", architecture="onnx", encoder="onnxruntime", encoding="image", automatic=True,
        image_channels=1, window=WindowSpec(size=SIZE, zoom=0.5), options={"outputs": "logits"},
    )  # fmt: skip
    segmenter = Segmenter(OnnxNetwork(made.SerializeToString(), card), card, device="cpu")
    explanation = Explanation(segmenter, segmenter.start(image))
    for ask in (lambda: explanation.places, explanation.attribution):
        with pytest.raises(ExplainError, match="came as ONNX"):
            ask()


def test_a_network_without_parts_says_so(
    image: np.ndarray, bright_segmenter: Callable[..., Segmenter]
) -> None:
    segmenter = bright_segmenter()
    explanation = Explanation(segmenter, clicked(segmenter, image))
    with pytest.raises(ExplainError, match="gives maps that can be shown"):
        explanation.heat_map("decoder")
