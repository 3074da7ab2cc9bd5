from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from napari_clickseg.core.guidance import input_channels
from napari_clickseg.engine.segmenter import Segmenter
from napari_clickseg.engine.twin import quick_twin
from napari_clickseg.models.card import InputRange, ModelCard
from napari_clickseg.models.checkpoint import load_network, save_model
from napari_clickseg.models.choices import architectures
from napari_clickseg.models.guided import GuidedNetwork
from napari_clickseg.models.network import NetworkError, build_network
from napari_clickseg.models.transfer import InputLayout, transfer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RANGE = InputRange(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
WIDTHS = (4, 6, 8, 8, 8, 8)


@pytest.fixture
def card(make_card: Callable[..., ModelCard]) -> Callable[..., ModelCard]:
    def make(**fields: Any) -> ModelCard:
        known = {"fusion": "beside", "guidance_widths": WIDTHS, "encoding": "prompts"}
        return make_card(**known | {"input_range": RANGE} | fields)

    return make


def inputs(card: ModelCard, seed: int = 0, size: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    n = input_channels(card.encoding, card.image_channels)
    return torch.rand(2, n, size, size, generator=generator)


def stirred(network: torch.nn.Module) -> GuidedNetwork:
    """Give the joins some weight: they begin with none."""
    assert isinstance(network, GuidedNetwork)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for join in (*network.joins, network.last_join):
            for value in join.parameters():
                value.add_(0.2 * torch.randn(value.shape, generator=generator))
    return network


@torch.inference_mode()
def test_guidance_adds_nothing_before_anything_is_learned(card: Callable[..., ModelCard]) -> None:
    network = build_network(card())
    assert isinstance(network, GuidedNetwork)
    one = inputs(card())
    other = one.clone()
    other[:, 3:] = 1 - other[:, 3:]
    torch.testing.assert_close(network(one), network(other))
    assert not torch.allclose(stirred(network)(one), network(other))


@torch.inference_mode()
def test_features_that_were_kept_give_the_same_answer(card: Callable[..., ModelCard]) -> None:
    network = stirred(build_network(card()))
    one, other = inputs(card()), inputs(card(), seed=1)
    other[:, :3] = one[:, :3]  # the same window, with another prompt
    features = network.features(one[:, :3])
    for asked in (one, other, one):
        torch.testing.assert_close(network.answer(features, asked).logits, network(asked))


def test_the_encoder_keeps_its_statistics_while_the_rest_learns(
    card: Callable[..., ModelCard],
) -> None:
    network = stirred(build_network(card())).train()
    before = {k: v.clone() for k, v in network.state_dict().items() if "running" in k}
    answer = network.assessed(inputs(card()))
    (answer.logits.mean() + answer.overlap.mean()).backward()
    changed = {k for k, v in network.state_dict().items() if k in before and (v != before[k]).any()}
    assert changed
    assert not any(name.startswith("encoder.") for name in changed)
    assert any(p.grad is not None for p in network.encoder.parameters())


def test_an_image_is_brought_to_the_encoder_s_range(card: Callable[..., ModelCard]) -> None:
    """And the guidance stays: in both forms a network without a range sees the same so."""
    for fusion, widths in (("beside", WIDTHS), ("input", ())):
        torch.manual_seed(0)
        ranged = build_network(card(fusion=fusion, guidance_widths=widths))
        plain = build_network(card(fusion=fusion, guidance_widths=widths, input_range=None))
        plain.load_state_dict(ranged.state_dict())
        x = inputs(card())
        shifted = x.clone()
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (RANGE.mean, RANGE.std))
        shifted[:, :3] = (x[:, :3] - mean) / std
        with torch.inference_mode():
            if fusion == "input":
                torch.testing.assert_close(ranged(x), plain(shifted))
            else:  # the branch sees the image as it is
                assert isinstance(plain, GuidedNetwork)
                features = plain.features(shifted[:, :3])
                torch.testing.assert_close(ranged(x), plain.answer(features, x).logits)


@pytest.mark.parametrize("architecture", architectures())
def test_any_architecture_takes_guidance_beside_its_encoder_or_says_that_it_can_t(
    card: Callable[..., ModelCard], architecture: str
) -> None:
    if architecture == "dpt":
        with pytest.raises(NetworkError, match="another architecture"):
            build_network(card(architecture="dpt", encoder="tu-vit_tiny_patch16_224", options={}))
        return
    asked = card(architecture=architecture, encoder="resnet18", options={})
    with torch.inference_mode():
        assert build_network(asked)(inputs(asked, size=128)).shape == (2, 1, 128, 128)


def test_an_encoder_without_a_stride_is_guided_at_the_others(
    card: Callable[..., ModelCard],
) -> None:
    asked = card(architecture="segformer", encoder="mit_b0", options={})
    with torch.inference_mode():
        assert build_network(asked)(inputs(asked)).shape == (2, 1, 64, 64)


def test_a_model_s_file_brings_its_form_back(
    card: Callable[..., ModelCard], tmp_path: Path
) -> None:
    network = stirred(build_network(card()))
    save_model(tmp_path / "a.safetensors", network.state_dict(), card())
    again, known = load_network(tmp_path / "a.safetensors")
    assert known == card()
    x = inputs(card())
    with torch.inference_mode():
        torch.testing.assert_close(again(x), network(x), rtol=0.02, atol=0.02)


@torch.inference_mode()
def test_the_quick_twin_of_a_guided_network_keeps_features_too(
    card: Callable[..., ModelCard],
) -> None:
    network = stirred(build_network(card()))
    x = inputs(card())[:1]
    twin = quick_twin(network, x, torch.float32)
    assert isinstance(twin, GuidedNetwork)
    answer = twin.answer(twin.features(x[:, :3]), x)
    torch.testing.assert_close(answer.logits, network(x), rtol=1e-3, atol=1e-3)


def test_a_later_prompt_in_the_same_window_does_not_ask_the_encoder(
    card: Callable[..., ModelCard],
) -> None:
    network = stirred(build_network(card(size=64)))
    segmenter = Segmenter(network, card(size=64), device="cpu")
    asked: list[int] = []
    for form in (network, segmenter._twin):
        if form is not None:
            form.encoder.register_forward_hook(lambda *_: asked.append(1))  # type: ignore[union-attr]
    session = segmenter.start(np.random.default_rng(0).random((64, 64)).astype(np.float32))
    session.click(30, 30)
    session.predict()
    first = len(asked)
    assert first >= 1
    assert session._estimator is not None
    windows = set(session._estimator._seen)
    session.click(20, 40, positive=False)
    session.predict()
    new = set(session._estimator._seen) - windows
    assert len(asked) == first + len(new)


@pytest.mark.parametrize(
    "wrong",
    [
        {"guidance_widths": ()},
        {"encoding": "image", "automatic": True},
        {"encoding": "colour", "image_channels": 1, "input_range": None},
        {"guidance_widths": (0,)},
        {"guidance_widths": (10**9,)},
        {"input_range": InputRange(mean=(0.5,), std=(0.5,))},
        {"fusion": "above"},
    ],
)
def test_a_card_that_makes_no_sense_is_refused(
    card: Callable[..., ModelCard], wrong: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        card(**wrong)


@pytest.mark.parametrize("std", [(0.0, 1, 1), (1.0, 1), (-1.0, 1, 1), (float("nan"), 1, 1)])
def test_a_range_has_a_mean_and_a_deviation_for_each_channel(std: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        InputRange(mean=(0.0, 0.0, 0.0), std=std)


@torch.inference_mode()
def test_a_guided_start_for_grey_images_answers_as_it_did(card: Callable[..., ModelCard]) -> None:
    before, after = card(input_range=None), card(image_channels=1, input_range=None)
    known, new = stirred(build_network(before)), build_network(after)
    done = transfer(new, known.state_dict(), InputLayout.of(before), InputLayout.of(after))
    assert done.fresh == 0
    grey = inputs(after)
    colour = torch.cat([grey[:, :1].expand(-1, 3, -1, -1), grey[:, 1:]], 1)
    torch.testing.assert_close(new(grey), known(colour), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_the_encoder_of_a_guided_model_is_the_start_of_a_class_model(
    card: Callable[..., ModelCard],
) -> None:
    before = card()
    after = card(encoding="image", automatic=True, fusion="input", guidance_widths=())
    known, new = stirred(build_network(before)), build_network(after)
    done = transfer(new, known.state_dict(), InputLayout.of(before), InputLayout.of(after))
    assert done.encoder
    x = inputs(before)[:, :3]
    ranged = known.normalised(x)
    for one, other in zip(new.get_submodule("encoder")(ranged), known.encoder(ranged), strict=True):
        torch.testing.assert_close(one, other)
