from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from napari_clickseg.models.network import NetworkError, build_network, create

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.models.card import ModelCard


@pytest.mark.parametrize(
    ("fields", "inputs", "outputs"),
    [
        ({}, 6, 1),
        ({"image_channels": 1}, 4, 1),
        ({"encoding": "colour", "image_channels": 1}, 3, 1),
        ({"image_channels": 12, "classes": ("cell", "bud")}, 15, 3),
    ],
)
def test_a_network_takes_and_gives_what_its_card_says(
    make_card: Callable[..., ModelCard], fields: dict[str, Any], inputs: int, outputs: int
) -> None:
    network = build_network(make_card(**fields))
    assert not network.training
    with torch.inference_mode():
        assert network(torch.zeros(2, inputs, 64, 64)).shape == (2, outputs, 64, 64)


@pytest.mark.parametrize(
    ("architecture", "encoder", "options", "says"),
    [
        ("nonet", "resnet18", {}, "nonet.*choose others"),
        ("unet", "resnet19", {}, "resnet19.*choose others"),
        ("unet", "tu-nothing", {}, "tu-nothing.*choose others"),
        ("unet", "resnet18", {"encoder_depth": 9}, "choose others"),
        ("unet", "resnet18", {"decoder_channels": [1, 2]}, "choose others"),
        ("unet", "resnet18", {"decoder_channels": "many"}, "choose others"),
        ("unet", "resnet18", {"encoder_weights": "imagenet"}, "choose others"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(
    architecture: str, encoder: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(NetworkError, match=says) as caught:
        create(architecture, encoder, channels=6, classes=1, options=options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoder", ["mobilenet_v2", "tu-test_resnet"])
def test_another_architectures_options_are_left_out(encoder: str) -> None:
    """So that several can be compared with the same ones, whichever library has the encoder."""
    options = {"encoder_depth": 3, "decoder_channels": [16, 8, 4]}
    network = create("linknet", encoder, channels=3, classes=1, options=options)
    del options["decoder_channels"]
    same = create("linknet", encoder, channels=3, classes=1, options=options)
    shapes = [{n: p.shape for n, p in one.state_dict().items()} for one in (network, same)]
    assert shapes[0] == shapes[1]
